//! Images that stand in a chart's templates and were not mirrored.

use std::collections::BTreeSet;
use std::fmt;

use super::{Chart, plain};

/// Where `oc-mirror` looks in every rendered object (main: helm/local_stored_collector.go). Hooks are not among them.
const LOOKED_AT: &[&str] = &[
    "{.spec.template.spec.initContainers[*].image}",
    "{.spec.template.spec.containers[*].image}",
    "{.spec.initContainers[*].image}",
    "{.spec.containers[*].image}",
];

/// An image that was overlooked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlooked {
    /// The template, below the chart's folder.
    pub template: String,
    /// The line in it, from 1.
    pub line: usize,
    /// The image, or the expression that makes it.
    pub image: String,
    /// The kind of object that it stands in.
    pub kind: Option<String>,
    /// What to put under `imagePaths`, where that would catch it.
    pub image_path: Option<String>,
}

impl fmt::Display for Overlooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            template,
            line,
            image,
            kind,
            image_path,
        } = self;
        write!(f, "{template}, line {line}: image `{image}`")?;
        if let Some(kind) = kind {
            write!(f, " of a {kind}")?;
        }
        match image_path {
            Some(path) => write!(f, " is caught by `imagePaths: [\"{path}\"]`"),
            None => write!(f, " can be named under `additionalImages`"),
        }
    }
}

/// The images of a chart's templates that are not among `mirrored`: a hint, for templates are not rendered.
///
/// An expression that cannot be resolved is told only where `oc-mirror` does not look at all.
pub fn overlooked(
    chart: &Chart,
    mirrored: &BTreeSet<&str>,
    image_paths: &[&str],
) -> Vec<Overlooked> {
    let mut found = Vec::new();
    for (template, text) in &chart.templates {
        let mut document = Document::default();
        for (index, line) in text.lines().enumerate() {
            if line.trim_end() == "---" {
                document = Document::default();
            }
            document.take(line);
            let Some(value) = image_of(line) else {
                continue;
            };
            let image_path = document.image_path();
            if image_path
                .as_deref()
                .is_some_and(|path| image_paths.contains(&path))
            {
                continue;
            }
            let resolved = resolve(value, chart);
            let is_mirrored = match &resolved {
                Some(image) => mirrored.contains(image.as_str()),
                None => document.is_looked_at(),
            };
            if !is_mirrored {
                found.push(Overlooked {
                    template: template.clone(),
                    line: index + 1,
                    image: resolved.unwrap_or_else(|| value.to_owned()),
                    kind: document.kind.clone(),
                    image_path: image_path.filter(|_| !document.is_looked_at()),
                });
            }
        }
    }
    found
}

/// What is known of the object that a line stands in.
#[derive(Default)]
struct Document {
    kind: Option<String>,
    is_hook: bool,
    /// The keys above the line, each with its indentation.
    above: Vec<(usize, String)>,
}

impl Document {
    fn take(&mut self, line: &str) {
        if line.contains("helm.sh/hook\"") || line.contains("helm.sh/hook:") {
            self.is_hook = true;
        }
        let indented = line.trim_start();
        if indented.is_empty() || indented.starts_with(['#', '{']) {
            return;
        }
        let is_item = indented.starts_with("- ");
        let key = indented.trim_start_matches("- ");
        let indent = line.len() - key.len();
        let Some((key, value)) = key.split_once(':') else {
            return;
        };
        if indent == 0 && key == "kind" {
            self.kind = Some(value.trim().trim_matches('"').to_owned());
        }
        while self.above.last().is_some_and(|(above, _)| *above >= indent) {
            self.above.pop();
        }
        if is_item
            && let Some((_, list)) = self.above.last_mut()
            && !list.ends_with("[*]")
        {
            list.push_str("[*]");
        }
        self.above.push((indent, key.trim_matches('"').to_owned()));
    }

    fn is_looked_at(&self) -> bool {
        self.image_path()
            .is_some_and(|path| LOOKED_AT.contains(&path.as_str()))
    }

    fn image_path(&self) -> Option<String> {
        if self.kind.is_none() || self.is_hook {
            return None;
        }
        let keys: Vec<_> = self.above.iter().map(|(_, key)| key.as_str()).collect();
        let is_plain = |key: &&str| {
            key.chars()
                .all(|c| c.is_ascii_alphanumeric() || "[*]-_".contains(c))
        };
        (!keys.is_empty() && keys.iter().all(is_plain)).then(|| format!("{{.{}}}", keys.join(".")))
    }
}

/// The value of an `image:` line.
fn image_of(line: &str) -> Option<&str> {
    let line = line.trim_start().trim_start_matches("- ");
    let value = line.strip_prefix("image:")?;
    let value = value.split(" #").next().unwrap_or(value).trim();
    let value = value
        .strip_prefix('"')
        .and_then(|inner| inner.strip_suffix('"'))
        .unwrap_or(value);
    (!value.is_empty()).then_some(value)
}

/// A text with `{{ … }}` in it, where each is a plain value.
fn resolve(value: &str, chart: &Chart) -> Option<String> {
    let mut resolved = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once("{{") {
        let (expression, behind) = after.split_once("}}")?;
        resolved.push_str(before);
        resolved.push_str(&evaluate(expression.trim_matches(['-', ' ']), chart)?);
        rest = behind;
    }
    resolved.push_str(rest);
    Some(resolved.trim().to_owned())
}

/// `.Values.a.b`, `.Chart.AppVersion`, `… | quote`, `… | default .Chart.AppVersion`.
fn evaluate(expression: &str, chart: &Chart) -> Option<String> {
    let mut stages = expression.split('|').map(str::trim);
    let mut value = operand(stages.next()?, chart);
    for stage in stages {
        value = match stage.split_once(' ') {
            _ if stage == "quote" => value,
            Some(("default", otherwise)) => value
                .filter(|value| !value.is_empty())
                .or_else(|| operand(otherwise.trim(), chart)),
            _ => return None,
        };
    }
    value
}

fn operand(text: &str, chart: &Chart) -> Option<String> {
    match text {
        ".Chart.AppVersion" => return Some(chart.app_version.clone()),
        ".Chart.Version" => return Some(chart.version.clone()),
        ".Chart.Name" => return Some(chart.name.clone()),
        _ => {}
    }
    if let Some(literal) = text.strip_prefix('"') {
        return literal.strip_suffix('"').map(str::to_owned);
    }
    let mut value = &chart.values;
    for name in text.strip_prefix(".Values.")?.split('.') {
        value = value.get(name)?;
    }
    plain(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(template: &str) -> Chart {
        let files = [
            ("Chart.yaml", "name: c\nversion: 1.0.0\nappVersion: v7\n"),
            ("values.yaml", "image:\n  repository: r.io/web\n  tag: ''\n"),
            ("templates/x.yaml", template),
        ];
        let files = files.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
        Chart::of_files(files.to_vec()).unwrap()
    }

    const POD: &str =
        "kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n      - name: web\n";
    const CRON: &str = "kind: CronJob\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          containers:\n            - image: r.io/cron:v1\n";

    #[test]
    fn an_image_that_was_mirrored_is_not_told() {
        let image = "        image: \"{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}\"\n";
        let chart = chart(&format!("{POD}{image}"));
        assert_eq!(
            overlooked(&chart, &BTreeSet::from(["r.io/web:v7"]), &[]),
            []
        );
        let found = overlooked(&chart, &BTreeSet::new(), &[]);
        assert_eq!((found[0].image.as_str(), found[0].line), ("r.io/web:v7", 7));
    }

    #[test]
    fn an_expression_is_told_only_where_nobody_looks() {
        let image = "        image: {{ include \"c.image\" . }}\n";
        assert_eq!(
            overlooked(&chart(&format!("{POD}{image}")), &BTreeSet::new(), &[]),
            []
        );
        let hook = format!("metadata:\n  annotations:\n    \"helm.sh/hook\": test\n{POD}{image}");
        assert_eq!(overlooked(&chart(&hook), &BTreeSet::new(), &[]).len(), 1);
    }

    #[test]
    fn a_cron_job_comes_with_the_path_that_catches_it() {
        let path = "{.spec.jobTemplate.spec.template.spec.containers[*].image}";
        let found = overlooked(&chart(CRON), &BTreeSet::new(), &[]);
        assert_eq!(found[0].image_path.as_deref(), Some(path));
        assert_eq!(overlooked(&chart(CRON), &BTreeSet::new(), &[path]), []);
    }
}
