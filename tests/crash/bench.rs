use crate::ground::*;
use std::time::Instant;
#[test]
fn bench() {
    let ground = Ground::new();
    let b = Instant::now();
    for _ in 0..10 { drop_copy(ground.again()); }
    println!("copy {:?}", b.elapsed()/10);
    let gap = ground.again();
    for (side, args) in [(Side::Connected, &["list"][..]), (Side::Connected, &["run"]), (Side::Connected, &["run"]), (Side::Connected, &["run"]), (Side::Disconnected, &["verify"]), (Side::Disconnected, &["run"]), (Side::Disconnected, &["run"])] {
        let b = Instant::now();
        let mut c = command(&gap, side, args);
        let out = std::process::Command::new("bash").arg("-c").arg("TIMEFORMAT='%R real %U user %S sys'; time \"$@\"").arg("x").arg(c.get_program()).args(c.get_args()).current_dir(gap.path("")).env("HOME", gap.path("home")).output().unwrap();
        let err = String::from_utf8_lossy(&out.stderr);
        println!("{side:?} {args:?} {:?} {}", b.elapsed(), err.lines().last().unwrap());
    }
    let b = Instant::now();
    println!("{}", crate::end::End::of(&gap, &mimeograph_manifest::io::dir::DirStore::open(&gap.path("store")).unwrap()).unwrap().len());
    println!("end {:?}", b.elapsed());
    let mut c = std::process::Command::new("bash"); c.arg("-c").arg("TIMEFORMAT='%R real %U user %S sys'; time $0 --v2 --help >/dev/null; time $0 version --output json >/dev/null").arg(gap.path("bin/oc-mirror"));
    println!("{}", String::from_utf8_lossy(&c.output().unwrap().stderr));
}
