//! YAML -> what the image set says.

use super::model::{
    AdditionalImage, Channel, Chart, ChartRepository, Helm, InstancePlatform, Mirror, Operator,
    Package, Platform, Range, ReleaseChannel, Text,
};
use super::node::{Fields, Node, ReadError, with_root};
use crate::manifest::Generation;

/// The file, read.
#[derive(Debug)]
pub(super) struct File {
    pub(super) kind: Option<Text>,
    pub(super) api_version: Option<Text>,
    pub(super) mirror: Mirror,
    /// v1's metadata lies in a registry.
    pub(super) storage_registry: Option<Text>,
    /// Fields that this program does not know; a newer `oc-mirror` may.
    pub(super) unknown: Vec<ReadError>,
}

/// The generation that an `apiVersion` means.
pub(super) fn generation(api_version: &str) -> Option<Generation> {
    match api_version {
        "mirror.openshift.io/v2alpha1" => Some(Generation::V2),
        "mirror.openshift.io/v1alpha2" => Some(Generation::V1),
        _ => None,
    }
}

pub(super) fn read(text: &str) -> Result<File, ReadError> {
    with_root(text, |root| {
        let mut unknown = Vec::new();
        let mut fields = root.fields("")?;
        let kind = fields.text("kind")?;
        let api_version = fields.text("apiVersion")?;
        // What neither names is refused by the caller, in better words than a strange field would be.
        let generation = api_version.as_deref().and_then(generation);
        let mut reader = Reader {
            generation: generation.unwrap_or(Generation::V2),
            unknown: &mut unknown,
        };
        let storage_registry = reader.storage(&mut fields)?;
        fields.take("archiveSize");
        let mirror = reader.mirror(&mut fields)?;
        if generation.is_some() {
            fields.end(&mut unknown)?;
        }
        Ok(File {
            kind,
            api_version,
            mirror,
            storage_registry,
            unknown,
        })
    })
}

struct Reader<'u> {
    generation: Generation,
    unknown: &'u mut Vec<ReadError>,
}

impl Reader<'_> {
    fn is_v2(&self) -> bool {
        self.generation == Generation::V2
    }

    fn end(&mut self, fields: Fields<'_>) -> Result<(), ReadError> {
        fields.end(self.unknown)
    }

    fn storage(&mut self, fields: &mut Fields<'_>) -> Result<Option<Text>, ReadError> {
        if self.is_v2() {
            return Ok(None);
        }
        let Some(mut storage) = fields.group("storageConfig")? else {
            return Ok(None);
        };
        let mut registry = None;
        if let Some(mut fields) = storage.group("registry")? {
            registry = Some(fields.text("imageURL")?.unwrap_or(Text {
                at: fields.at(),
                ..Text::default()
            }));
            fields.flag("skipTLS")?;
            self.end(fields)?;
        }
        if let Some(mut fields) = storage.group("local")? {
            fields.text("path")?;
            self.end(fields)?;
        }
        self.end(storage)?;
        Ok(registry)
    }

    fn mirror(&mut self, fields: &mut Fields<'_>) -> Result<Mirror, ReadError> {
        let Some(mut fields) = fields.group("mirror")? else {
            return Ok(Mirror::default());
        };
        let platform = fields
            .group("platform")?
            .map(|fields| self.platform(fields))
            .transpose()?;
        let operators = fields.list("operators", |path, node| self.operator(path, node))?;
        let additional_images = fields.list("additionalImages", |path, node| {
            self.additional_image(path, node)
        })?;
        let helm = fields
            .group("helm")?
            .map(|fields| self.helm(fields))
            .transpose()?;
        let blocked_images = fields.list("blockedImages", |path, node| self.named(path, node))?;
        // Not implemented by `oc-mirror`, in any version.
        fields.take("samples");
        self.end(fields)?;
        Ok(Mirror {
            platform,
            operators,
            additional_images,
            helm: helm.unwrap_or_default(),
            blocked_images,
        })
    }

    fn platform(&mut self, mut fields: Fields<'_>) -> Result<Platform, ReadError> {
        let mut platform = Platform {
            at: fields.at(),
            graph: fields.flag("graph")?,
            channels: fields.list("channels", |path, node| self.release_channel(path, node))?,
            architectures: fields.texts("architectures")?,
            ..Platform::default()
        };
        if self.is_v2() {
            platform.release = fields.text("release")?;
            platform.kube_virt_container = fields.flag("kubeVirtContainer")?;
            platform.platforms = self.platforms(&mut fields)?;
        }
        self.end(fields)?;
        Ok(platform)
    }

    fn release_channel(&mut self, path: &str, node: Node<'_>) -> Result<ReleaseChannel, ReadError> {
        let mut fields = node.fields(path)?;
        let channel = ReleaseChannel {
            at: fields.at(),
            name: fields.required("name")?,
            kind: fields.text("type")?,
            range: range(&mut fields)?,
            shortest_path: fields.flag("shortestPath")?,
            full: fields.flag("full")?,
        };
        self.end(fields)?;
        Ok(channel)
    }

    fn operator(&mut self, path: &str, node: Node<'_>) -> Result<Operator, ReadError> {
        let mut fields = node.fields(path)?;
        let mut operator = Operator {
            at: fields.at(),
            catalog: fields.required("catalog")?,
            target_catalog: fields.text("targetCatalog")?,
            target_tag: fields.text("targetTag")?,
            full: fields.flag("full")?,
            skip_dependencies: fields.flag("skipDependencies")?,
            packages: fields.optional_list("packages", |path, node| self.package(path, node))?,
            ..Operator::default()
        };
        if self.is_v2() {
            operator.target_catalog_source_template = fields.text("targetCatalogSourceTemplate")?;
            operator.platforms = self.platforms(&mut fields)?;
        } else {
            fields.take("targetName");
            fields.take("originalRef");
        }
        self.end(fields)?;
        Ok(operator)
    }

    fn package(&mut self, path: &str, node: Node<'_>) -> Result<Package, ReadError> {
        let mut fields = node.fields(path)?;
        let package = Package {
            name: fields.required("name")?,
            channels: fields.list("channels", |path, node| self.channel(path, node))?,
            default_channel: fields.text("defaultChannel")?,
            range: range(&mut fields)?,
        };
        self.min_bundle(&mut fields);
        self.end(fields)?;
        Ok(package)
    }

    fn channel(&mut self, path: &str, node: Node<'_>) -> Result<Channel, ReadError> {
        let mut fields = node.fields(path)?;
        let channel = Channel {
            name: fields.required("name")?,
            range: range(&mut fields)?,
        };
        self.min_bundle(&mut fields);
        self.end(fields)?;
        Ok(channel)
    }

    fn min_bundle(&self, fields: &mut Fields<'_>) {
        if !self.is_v2() {
            fields.take("minBundle");
        }
    }

    fn additional_image(
        &mut self,
        path: &str,
        node: Node<'_>,
    ) -> Result<AdditionalImage, ReadError> {
        let mut fields = node.fields(path)?;
        let mut image = AdditionalImage {
            name: fields.required("name")?,
            ..AdditionalImage::default()
        };
        if self.is_v2() {
            image.target_repo = fields.text("targetRepo")?;
            image.target_tag = fields.text("targetTag")?;
            image.platforms = self.platforms(&mut fields)?;
        }
        self.end(fields)?;
        Ok(image)
    }

    fn helm(&mut self, mut fields: Fields<'_>) -> Result<Helm, ReadError> {
        let helm = Helm {
            repositories: fields.list("repositories", |path, node| {
                self.chart_repository(path, node)
            })?,
            local: fields.list("local", |path, node| self.chart(path, node))?,
        };
        self.end(fields)?;
        Ok(helm)
    }

    fn chart_repository(
        &mut self,
        path: &str,
        node: Node<'_>,
    ) -> Result<ChartRepository, ReadError> {
        let mut fields = node.fields(path)?;
        let repository = ChartRepository {
            url: fields.required("url")?,
            name: fields.required("name")?,
            charts: fields.list("charts", |path, node| self.chart(path, node))?,
        };
        self.end(fields)?;
        Ok(repository)
    }

    fn chart(&mut self, path: &str, node: Node<'_>) -> Result<Chart, ReadError> {
        let mut fields = node.fields(path)?;
        let mut chart = Chart {
            at: fields.at(),
            name: fields.required("name")?,
            version: fields.text("version")?,
            path: fields.text("path")?,
            image_paths: fields.texts("imagePaths")?,
            ..Chart::default()
        };
        if self.is_v2() {
            chart.platforms = self.platforms(&mut fields)?;
        }
        self.end(fields)?;
        Ok(chart)
    }

    fn platforms(&mut self, fields: &mut Fields<'_>) -> Result<Vec<InstancePlatform>, ReadError> {
        fields.list("platforms", |path, node| {
            let mut fields = node.fields(path)?;
            let platform = InstancePlatform {
                os: fields.required("os")?,
                architecture: fields.required("architecture")?,
            };
            self.end(fields)?;
            Ok(platform)
        })
    }

    fn named(&mut self, path: &str, node: Node<'_>) -> Result<Text, ReadError> {
        let mut fields = node.fields(path)?;
        let name = fields.required("name")?;
        self.end(fields)?;
        Ok(name)
    }
}

fn range(fields: &mut Fields<'_>) -> Result<Range, ReadError> {
    Ok(Range {
        min: fields.text("minVersion")?,
        max: fields.text("maxVersion")?,
    })
}
