//! Every recorded case of the real `oc-mirror`, 4.17 and 5.2, judged from its log, its archive and what arrived.

mod case;

use case::Case;

#[test]
fn print() {
    for version in ["4.17", "5.2"] {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("data")
            .join(format!("oc-mirror-{version}"));
        let mut names: Vec<String> = Vec::new();
        for entry in std::fs::read_dir(&root).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.starts_with("operators") {
                names.push(name);
            }
        }
        for cat in ["additional", "platform", "helm"] {
            if let Ok(entries) = std::fs::read_dir(root.join(cat)) {
                for entry in entries {
                    names.push(format!(
                        "{cat}/{}",
                        entry.unwrap().file_name().into_string().unwrap()
                    ));
                }
            }
        }
        names.sort();
        for name in names {
            let case = Case {
                version,
                name: name.leak(),
            };
            let path = case.folder().join("imageset.yaml");
            let imageset = match mimeograph_manifest::imageset::ImageSet::parse(&case::read(&path))
            {
                Ok(i) => i,
                Err(e) => {
                    println!("{version} {}: PARSE {e:?}", case.name);
                    continue;
                }
            };
            let traps: Vec<String> = case
                .traps()
                .iter()
                .map(|f| format!("L{} {}", f.at.line, f.problem))
                .collect();
            let outcome = case.outcome("mirror-to-disk.log");
            let outcome = outcome
                .error()
                .map(|e| e.to_string().chars().take(90).collect::<String>());
            let j = case
                .judgement("mirror_000001", &imageset, &Default::default())
                .map(|r| {
                    r.map(|(j, _)| {
                        (
                            j.findings
                                .iter()
                                .map(|f| format!("L{} {}", f.at.line, f.problem))
                                .collect::<Vec<_>>(),
                            j.hints,
                        )
                    })
                });
            println!(
                "{version} {}\n   traps {traps:?}\n   log {outcome:?}\n   archive {j:?}",
                case.name
            );
        }
    }
}
