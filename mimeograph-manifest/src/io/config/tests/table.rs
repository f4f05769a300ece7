//! Mistakes from line 4 of a file that is right up to there: what stands there, message, hint.

use crate::io::config::read::CREDENTIALS;

const DURATION: &str = "write numbers with the units d, h, m or s, such as `90d`, `12h` or `1h30m`";
const SIZE: &str = "write a size from `1MiB` to `32MiB`, with the unit KiB or MiB";
const TEXT: &str = "write a text, in quotes where it looks like something else";

/// Unknown fields and wrong types.
pub(super) const SHAPE: &[(&str, &str, &str)] = &[
    // unknown fields
    (
        "trsut: {}",
        "4:1: there is no field `trsut`",
        "did you mean `trust`?",
    ),
    (
        "s3:\n  bucket:\n    name: b\n    subdir: x",
        "7:5: there is no field `s3.bucket.subdir`",
        "did you mean `subDir`?",
    ),
    (
        "transfer:\n  speed: 9",
        "5:3: there is no field `transfer.speed`",
        "there are: parallel, chunkSize, bandwidth",
    ),
    (
        "bundle: { allow: true }",
        "4:11: there is no field `bundle.allow`",
        "there are: allowPartial, fullEvery",
    ),
    (
        "state: { peers: [{ stream: '00000000000000000000000000000def' }] }",
        "4:18: `state.peers[0].keys` is missing",
        "name the public keys that the other stream is signed with",
    ),
    (
        "s3:\n  accessKey: AKIAEXAMPLE",
        "5:3: there is no field `s3.accessKey`",
        CREDENTIALS,
    ),
    (
        "s3: { bucket: { secret_access_key: x } }",
        "4:17: there is no field `s3.bucket.secret_access_key`",
        CREDENTIALS,
    ),
    // wrong types
    (
        "bundle:\n  allowPartial: yes",
        "5:3: `bundle.allowPartial` is `yes`, not a switch",
        "write `true` or `false`",
    ),
    (
        "stream:\n  name: 1.10",
        "5:3: `stream.name` is `1.1`, not a text",
        TEXT,
    ),
    (
        "enclave: true",
        "4:1: `enclave` is `true`, not a text",
        TEXT,
    ),
    (
        "trust:\n  keys: a.pem",
        "5:3: `trust.keys` is `a.pem`, not a list",
        "write a list, such as `[one, two]`",
    ),
    (
        "trust:\n  keys:\n  - a.pem\n  - [b]",
        "7:5: `trust.keys[1]` is a list, not a text",
        TEXT,
    ),
    (
        "trust:\n  keys: [a, ~]",
        "5:13: `trust.keys[1]` is empty, not a text",
        TEXT,
    ),
    (
        "trust:\n  threshold: two",
        "5:3: `trust.threshold` is `two`, not a whole number",
        "write a whole number from 0",
    ),
    (
        "trust:\n  threshold: -1",
        "5:3: `trust.threshold` is `-1`, not a whole number",
        "write a whole number from 0",
    ),
    (
        "s3: bucket",
        "4:1: `s3` is `bucket`, not a group of fields",
        "write its fields below it, indented",
    ),
    (
        "s3: [a]",
        "4:1: `s3` is a list, not a group of fields",
        "write its fields below it, indented",
    ),
    (
        "store: /mnt",
        "4:1: `store` is `/mnt`, not a group of fields",
        "write its fields below it, indented",
    ),
];

/// Values that their types refuse.
pub(super) const VALUES: &[(&str, &str, &str)] = &[
    (
        "operation: both",
        "4:1: `operation` is `both`, which is neither `bundle` nor `populate`",
        "write `bundle` on the connected side, `populate` on the disconnected side",
    ),
    (
        "trust:\n  threshold: 0",
        "5:3: `trust.threshold` is `0`, which is not a number from 1 to 64",
        "write a number from 1 to 64",
    ),
    (
        "trust:\n  stream: ABC",
        "5:3: `trust.stream` is `ABC`, which is not a stream id of 32 lower-case hexadecimal digits",
        "write the id as `list` shows it, in quotes",
    ),
    (
        "trust:\n  waitAtMost: 24",
        "5:3: `trust.waitAtMost` is `24`, which has no unit",
        DURATION,
    ),
    (
        "trust:\n  clockSkew: soon",
        "5:3: `trust.clockSkew` is `soon`, which is not a duration",
        DURATION,
    ),
    (
        "signing:\n  expiresAfter: 0d",
        "5:3: `signing.expiresAfter` is `0d`, which is no time at all",
        "write a longer one, such as `12h`",
    ),
    (
        "signing:\n  keyFile: ''",
        "5:3: `signing.keyFile` is ``, which is empty",
        "write an absolute path, or one relative to the folder of this file",
    ),
    (
        "transfer: {chunkSize: 64MiB}",
        "4:12: `transfer.chunkSize` is `64MiB`, which is out of bounds",
        SIZE,
    ),
    (
        "transfer: {chunkSize: 1048576}",
        "4:12: `transfer.chunkSize` is `1048576`, which has no unit",
        SIZE,
    ),
    (
        "transfer: {bandwidth: 200MiB}",
        "4:12: `transfer.bandwidth` is `200MiB`, which is not a rate",
        "write a rate from `64KiB/s` on, with the unit KiB/s, MiB/s or GiB/s",
    ),
    (
        "transfer: {bandwidth: 1B/s}",
        "4:12: `transfer.bandwidth` is `1B/s`, which is out of bounds",
        "write a rate from `64KiB/s` on, with the unit KiB/s, MiB/s or GiB/s",
    ),
    (
        "transfer:\n  parallel: many",
        "5:3: `transfer.parallel` is `many`, which is neither `auto` nor a number from 1 to 64",
        "write `auto`, or a number from 1 to 64",
    ),
    (
        "stream:\n  audience: [north, 'a b']",
        "5:21: `stream.audience[1]` is `a b`, which is not an enclave's name",
        "write letters, digits, `.`, `_` and `-`, a letter or digit first",
    ),
    (
        "s3: { sse: { kmsKeyId: 'a b' } }",
        "4:14: `s3.sse.kmsKeyId` is `a b`, which is not a key of AWS KMS",
        "write its id, its ARN, or `alias/NAME`",
    ),
    (
        "s3: { objectLock: { mode: legal, days: 3 } }",
        "4:21: `s3.objectLock.mode` is `legal`, which is not a mode of S3 Object Lock",
        "write `governance` or `compliance`",
    ),
    (
        "metrics: { pushgateway: 'pushgateway:9091' }",
        "4:12: `metrics.pushgateway` is `pushgateway:9091`, which is not an endpoint's URL",
        "write `https://host[:port]`, or `http://…` where there is no TLS",
    ),
    (
        "s3: { bucket: { name: 's3://b' } }",
        "4:17: `s3.bucket.name` is `s3://b`, which is not a bucket's name",
        "write the name alone: no `s3://`, no path (that is `s3.bucket.subDir`)",
    ),
    (
        "s3: { bucket: { name: b, endpoint: s3.example.com } }",
        "4:26: `s3.bucket.endpoint` is `s3.example.com`, which is not an endpoint's URL",
        "write `https://host[:port]`, or `http://…` where there is no TLS",
    ),
    (
        "s3: { bucket: { name: b, endpoint: 'https://me:hidden@s3' } }",
        "4:26: `s3.bucket.endpoint` has an `@`",
        "take it out: no credentials in this file; those of S3 come from the standard AWS chain",
    ),
    (
        "s3: { bucket: { name: b, subDir: a//b } }",
        "4:26: `s3.bucket.subDir` is `a//b`, which is not a folder within a bucket",
        "write names separated by single slashes, such as `team/redhat-operators`",
    ),
    (
        "store:\n  directory: file:///mnt",
        "5:3: `store.directory` is `file:///mnt`, which is a URL",
        "write the path without `file://`",
    ),
    (
        "artefacts:\n  extraFiles: [~/a]",
        "5:16: `artefacts.extraFiles[0]` is `~/a`, which needs a shell to be read",
        "write an absolute path, or one relative to the folder of this file",
    ),
];

/// What does not go together, and what is not YAML.
pub(super) const TOGETHER: &[(&str, &str, &str)] = &[
    (
        "s3: { bucket: { name: b } }\nstore:\n  directory: /mnt",
        "6:3: `store.directory` and `s3` are both there, and a stream lies in one place",
        "take one of them out",
    ),
    (
        "s3: { objectLock: { days: 3 } }",
        " `s3.objectLock.mode` is missing",
        "write `governance` or `compliance`",
    ),
    (
        "s3: { objectLock: { mode: governance } }",
        " `s3.objectLock.days` is missing",
        "write for how many days an object may not be removed",
    ),
    // YAML itself
    (
        "trust: {}\ntrust: {}",
        "5:1: `trust` stands there for the second time",
        "take one of the two out",
    ),
    (
        "trust:\n\tkeys: []",
        "5:1: this is not YAML that can be read: found character that cannot start any token, while scanning for the next token",
        "check quotes and indentation there (spaces, no tabs)",
    ),
];
