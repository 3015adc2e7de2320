//! Archives of every type, valid and hostile.

use super::*;

/// A zip of stored entries: name, Unix mode and content.
fn zip(files: &[(&[u8], u32, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, mode, bytes) in files {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        let size = u32::try_from(bytes.len()).unwrap().to_le_bytes();
        let offset = u32::try_from(out.len()).unwrap().to_le_bytes();
        let name_len = u16::try_from(name.len()).unwrap().to_le_bytes();
        let crc = crc.sum().to_le_bytes();
        let common: &[&[u8]] =
            &[&[20, 0, 0, 0, 0, 0, 0, 0, 0, 0], &crc, &size, &size, &name_len, &[0, 0]];
        out.extend_from_slice(b"PK\x03\x04");
        common.iter().for_each(|part| out.extend_from_slice(part));
        out.extend_from_slice(name);
        out.extend_from_slice(bytes);
        directory.extend_from_slice(b"PK\x01\x02\x14\x03");
        common.iter().for_each(|part| directory.extend_from_slice(part));
        directory.extend_from_slice(&[0; 6]);
        directory.extend_from_slice(&(mode << 16).to_le_bytes());
        directory.extend_from_slice(&offset);
        directory.extend_from_slice(name);
    }
    let count = u16::try_from(files.len()).unwrap().to_le_bytes();
    let (size, offset) = (u32::try_from(directory.len()).unwrap(), out.len());
    out.extend_from_slice(&directory);
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    out.extend_from_slice(&count);
    out.extend_from_slice(&count);
    out.extend_from_slice(&size.to_le_bytes());
    out.extend_from_slice(&u32::try_from(offset).unwrap().to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    out
}

#[test]
fn every_archive_type_and_a_top_directory_are_accepted() {
    use flate2::{Compression, write::GzEncoder};
    let files = Files::minimal();
    let inside = Files(
        files.0.iter().map(|(name, bytes)| (format!("./sum/{name}"), bytes.clone())).collect(),
    );
    let (_dir, package) = read_with(&inside.tar(), &SizeLimits::default());
    assert_eq!(package.unwrap().name.as_deref(), Some("sum"));
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&inside.tar()).unwrap();
    assert!(findings(&gzip.finish().unwrap()).is_empty());
    let entries: Vec<(&[u8], u32, &[u8])> =
        inside.0.iter().map(|(n, b)| (n.as_bytes(), 0o100_644, b.as_slice())).collect();
    assert_eq!(findings(&zip(&entries)), Vec::<String>::new());
}

#[test]
fn paths_and_links_that_leave_the_package_are_refused() {
    let hostile = |name: &[u8], kind, link: &str, parts: &[&str]| {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, bytes) in &Files::minimal().0 {
            add(&mut tar, name, tar::EntryType::Regular, "", bytes);
        }
        add_raw(&mut tar, name, kind, link, b"");
        refused_bytes(&tar.into_inner().unwrap(), parts);
    };
    use tar::EntryType as T;
    hostile(b"../x", T::Regular, "", &["../x", "leads out"]);
    hostile(b"data/../../x", T::Regular, "", &["data/../../x", "leads out"]);
    hostile(b"/etc/passwd", T::Regular, "", &["/etc/passwd", "absolute"]);
    hostile(b"problem.yaml", T::Regular, "", &["problem.yaml", "twice"]);
    hostile(b"problem.yaml/x", T::Regular, "", &["problem.yaml/x", "inside a file"]);
    hostile(b"dev", T::Char, "", &["dev", "device"]);
    hostile(b"pipe", T::Fifo, "", &["pipe", "device or pipe"]);
    hostile(b"s", T::GNUSparse, "", &["s", "sparse file, not as a regular file"]);
    hostile(b"l", T::Symlink, "/etc/passwd", &["l", "outside"]);
    hostile(b"l", T::Symlink, "../x", &["l", "outside"]);
    hostile(b"data/l", T::Symlink, "../../x", &["data/l", "outside"]);
    hostile(b"l", T::Symlink, "nothing", &["l", "does not exist"]);
    hostile(b"l", T::Symlink, "l", &["l", "cycle"]);
    hostile(b"data/l", T::Symlink, "..", &["data/l", "directory that contains it"]);
    hostile(b"l", T::Symlink, ".git/x", &["l", "ignored because of its name"]);
    hostile(b"l", T::Link, "/etc/passwd", &["l", "/etc/passwd, which is outside"]);
    hostile(b"l", T::Link, "nothing", &["l", "not an earlier file"]);
}

#[test]
fn links_inside_are_followed() {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in &Files::minimal().0 {
        add(&mut tar, name, tar::EntryType::Regular, "", bytes);
    }
    for (name, target) in LINKS {
        add(&mut tar, name, tar::EntryType::Symlink, target, b"");
    }
    check_links(&tar.into_inner().unwrap());
    let mut entries: Vec<(String, u32, Vec<u8>)> = Vec::new();
    for (name, bytes) in Files::minimal().0 {
        entries.push((format!("sum/{name}"), 0o100_644, bytes));
    }
    let links = LINKS.map(|(name, target)| (name, target.to_owned()));
    // Leaves the directory of the package and enters it again.
    for (name, target) in
        links.into_iter().chain([("data/secret/4.ans", "../../../sum/data/secret/1.ans".into())])
    {
        entries.push((format!("sum/{name}"), 0o120_777, target.into_bytes()));
    }
    let entries: Vec<(&[u8], u32, &[u8])> = entries
        .iter()
        .map(|(name, mode, bytes)| (name.as_bytes(), *mode, bytes.as_slice()))
        .collect();
    check_links(&zip(&entries[..entries.len() - 1]));
    refused_bytes(&zip(&entries), &["data/secret/4.ans", "no matching data/secret/4.in"]);
}

const LINKS: [(&str, &str); 6] = [
    ("data/secret/2.in", "1.in"),
    ("data/secret/2.ans", "../secret/./1.ans"),
    ("data/sample", "secret"),
    ("data/secret/3", "../../shared"),
    ("shared/x.in", "../data/sample/1.in"),
    ("shared/x.ans", "../data/secret/2.ans"),
];

#[track_caller]
fn check_links(bytes: &[u8]) {
    let (_dir, package) = read_with(bytes, &SizeLimits::default());
    let tests = package.unwrap().data.tests;
    let names: Vec<&str> = tests.iter().map(|test| test.name.as_str()).collect();
    let names_expected =
        ["sample/1", "sample/2", "sample/3/x", "secret/1", "secret/2", "secret/3/x"];
    assert_eq!(names, names_expected);
    assert!(tests.iter().all(|test| test.input == tests[0].input));
}

#[test]
fn links_to_directories_cannot_multiply() {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in &Files::minimal().0 {
        add(&mut tar, name, tar::EntryType::Regular, "", bytes);
    }
    // Three levels with 100 links each: a million directories.
    for level in ["a", "b", "c"] {
        let next = char::from(level.as_bytes()[0] + 1).to_string();
        for i in 0..100 {
            let link = format!("{level}/{i}");
            add(&mut tar, &link, tar::EntryType::Symlink, &format!("../{next}"), b"");
        }
    }
    add(&mut tar, "d", tar::EntryType::Directory, "", b"");
    let size_limits = SizeLimits { entries: 1000, ..SizeLimits::default() };
    let read = read_with(&tar.into_inner().unwrap(), &size_limits).1;
    let Err(Error::TooLarge(message)) = read else { panic!("{read:?}") };
    assert!(message.contains("links to directories add more than 1000"), "{message}");
}

#[test]
fn a_bad_link_is_reported_once() {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in &Files::minimal().0 {
        add(&mut tar, name, tar::EntryType::Regular, "", bytes);
    }
    // Both links of each directory lead to the same bad link, by two paths a level.
    for (name, target) in [("a/x", "../b"), ("a/y", "../b"), ("b/x", "../c"), ("b/y", "../c")] {
        add(&mut tar, name, tar::EntryType::Symlink, target, b"");
    }
    add(&mut tar, "c/bad", tar::EntryType::Symlink, "nothing", b"");
    let findings = findings(&tar.into_inner().unwrap());
    let about = findings.iter().filter(|line| line.contains("does not exist"));
    assert_eq!(about.count(), 1, "{findings:?}");
}

#[test]
fn chains_of_links_are_limited() {
    let chain = |length: usize, directory: bool| {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, bytes) in &Files::minimal().0 {
            add(&mut tar, name, tar::EntryType::Regular, "", bytes);
        }
        for i in 0..length {
            let (link, target) = match directory {
                true => (format!("d{i}/x"), format!("../d{}", i + 1)),
                false => (format!("l{i}"), format!("l{}", i + 1)),
            };
            add(&mut tar, &link, tar::EntryType::Symlink, &target, b"");
        }
        add(&mut tar, &format!("d{length}/file"), tar::EntryType::Regular, "", b"");
        add(&mut tar, &format!("l{length}"), tar::EntryType::Regular, "", b"");
        tar.into_inner().unwrap()
    };
    assert!(read_with(&chain(40, false), &SizeLimits::default()).1.is_ok());
    refused_bytes(&chain(41, false), &["l0", "cycle of links, or of a chain of more than 40"]);
    assert!(read_with(&chain(5, true), &SizeLimits::default()).1.is_ok());
    refused_bytes(&chain(6, true), &["d5/x", "links to directories, or of a chain of more than 4"]);
}

#[test]
fn odd_names_are_ignored_whatever_they_are() {
    use tar::EntryType as T;
    let odd: [(&[u8], T, &str); 9] = [
        (b"docs/\xcc\xe2\xbd\xe2.txt", T::Regular, ""),
        (b"data\\secret\\9.in", T::Regular, ""),
        (b"C:/x", T::Regular, ""),
        (b"data/secret/a:b.in", T::Regular, ""),
        (b"odd name/dev", T::Char, ""),
        (b".cache/pipe", T::Fifo, ""),
        (b".cache/sparse", T::GNUSparse, ""),
        (b".cache/link", T::Symlink, "/etc/passwd"),
        (b".cache/link", T::Link, "../x"),
    ];
    for top in ["", "sum/"] {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, bytes) in &Files::minimal().0 {
            add(&mut tar, &format!("{top}{name}"), T::Regular, "", bytes);
        }
        for (name, kind, link) in odd {
            add_raw(&mut tar, &[top.as_bytes(), name].concat(), kind, link, b"");
        }
        add_raw(&mut tar, b"beside the package.txt", T::Regular, "", b"");
        let (_dir, package) = read_with(&tar.into_inner().unwrap(), &SizeLimits::default());
        let package = package.unwrap();
        assert_eq!(package.data.tests.len(), 1);
        let ignored =
            package.findings.iter().filter(|f| f.message.contains("is ignored: the format"));
        let ignored: Vec<&str> = ignored.map(|finding| finding.file.as_str()).collect();
        let expected = [
            "C:",
            "beside the package.txt",
            "data/secret/a:b.in",
            "data\\secret\\9.in",
            "docs/%CC%E2%BD%E2.txt",
            "odd name",
        ];
        assert_eq!(ignored, expected, "{top:?}");
    }
    let regular = 0o100_644;
    let mut entries: Vec<(&[u8], u32, &[u8])> =
        vec![(b"a\xff", regular, b""), (b"x y/f", 0o010_644, b""), (b".l", 0o120_777, b"/etc")];
    let minimal = Files::minimal();
    entries.extend(minimal.0.iter().map(|(n, b)| (n.as_bytes(), regular, b.as_slice())));
    assert_eq!(findings(&zip(&entries)), Vec::<String>::new());
}

#[test]
fn all_bad_entries_are_reported_at_once() {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in &Files::minimal().without("submissions/accepted/a.py").0 {
        add(&mut tar, name, tar::EntryType::Regular, "", bytes);
    }
    add(&mut tar, "../x", tar::EntryType::Regular, "", b"");
    add(&mut tar, "pipe", tar::EntryType::Fifo, "", b"");
    add(&mut tar, "data/l", tar::EntryType::Symlink, "/etc/passwd", b"");
    add(&mut tar, "problem.yaml", tar::EntryType::Regular, "", b"");
    let bytes = tar.into_inner().unwrap();
    for parts in [
        ["../x", "leads out"],
        ["pipe", "device or pipe"],
        ["data/l", "outside"],
        ["problem.yaml", "twice"],
    ] {
        refused_bytes(&bytes, &parts);
    }
}

#[test]
fn other_files_are_no_packages() {
    for (bytes, part) in [
        (&b""[..], "is empty"),
        (b"BZh91AY", "bzip2"),
        (b"7z\xbc\xaf\x27\x1c", "7z"),
        (b"hello", "not an archive"),
    ] {
        refused_bytes(bytes, &[part, "must be a zip, tar or tar.gz file"]);
    }
    // Before POSIX, headers had no magic number.
    let mut old = Files::minimal().tar();
    for header in 0..old.len() / 512 {
        let block = &mut old[header * 512..][..512];
        if &block[257..262] == b"ustar" {
            block[257..265].fill(0);
            let mut tar = tar::Header::from_byte_slice(block).clone();
            tar.set_cksum();
            block.copy_from_slice(tar.as_bytes());
        }
    }
    assert_eq!(findings(&old), Vec::<String>::new());
}

#[test]
fn hostile_zips_are_refused() {
    let file = 0o100_644;
    refused_bytes(&zip(&[(b"../x", file, b"")]), &["../x", "leads out"]);
    refused_bytes(&zip(&[(b"a", file, b""), (b"a", file, b"")]), &["a", "occurs twice"]);
    refused_bytes(&zip(&[(b"l", 0o120_777, b"../x")]), &["l", "outside"]);
    refused_bytes(&zip(&[(b"f", 0o010_644, b"")]), &["f", "device or pipe"]);
    let mut broken = zip(&[(b"abc", file, b"hello")]);
    broken[33] ^= 1;
    refused_bytes(&broken, &["abc", "checksum"]);
    let whole = zip(&[(b"abc", file, b"hello")]);
    for cut in 0..whole.len() {
        assert!(!findings(&whole[..cut]).is_empty());
    }
    for bytes in [&b""[..], b"PK", b"hello world", b"\x1f\x8b", b"PK\x03\x04"] {
        assert!(!findings(bytes).is_empty());
    }
}

#[test]
fn corrupt_bytes_do_not_panic() {
    let whole = zip(&[(b"abc", 0o100_644, b"hello"), (b"d/", 0o040_755, b"")]);
    for at in 0..whole.len() {
        for value in [0, 0xff, whole[at].wrapping_add(1)] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            let _ = findings(&bytes);
        }
    }
    let tar = Files(vec![("abc".into(), b"hello".to_vec())]).tar();
    for at in 0..1024 {
        let mut bytes = tar.clone();
        bytes[at] ^= 0x80;
        let _ = findings(&bytes);
    }
}

#[test]
fn bombs_exceed_a_size_limit() {
    use flate2::{Compression, write::GzEncoder};
    let size_limits =
        SizeLimits { unpacked: 1 << 20, file: 1 << 19, entries: 50, ..SizeLimits::default() };
    let too_large = |bytes: &[u8]| match read_with(bytes, &size_limits).1 {
        Err(Error::TooLarge(message)) => message,
        other => panic!("{other:?}"),
    };
    let mut big = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![0; 4 << 20];
    big.write_all(&Files::minimal().with("data/secret/9.in", &zeros).tar()).unwrap();
    assert!(too_large(&big.finish().unwrap()).contains("data/secret/9.in"));
    assert!(too_large(&compressed_zip("9.in", &zeros)).contains("9.in"));
    let many = (0..9).fold(Files::minimal(), |files, i| {
        files.with(&format!("data/secret/{i}.in"), vec![0; 400 << 10])
    });
    assert!(too_large(&many.tar()).contains("in total"));
    let entries = (0..60).fold(Files::minimal(), |f, i| f.with(&format!("x{i}"), ""));
    assert!(too_large(&entries.tar()).contains("entries"));
    // A tar whose padding alone is a bomb.
    let mut padding = GzEncoder::new(Vec::new(), Compression::best());
    padding.write_all(&vec![0; 8 << 20]).unwrap();
    assert!(!findings(&padding.finish().unwrap()).is_empty());
}

#[test]
fn disallowed_names_are_ignored() {
    let package = valid(
        &Files::minimal()
            .with(".git/config", "x")
            .with("data/secret/.hidden.in", "x")
            .with("data/secret/a b.in", "x")
            .with("__MACOSX/x", "x"),
    );
    assert_eq!(package.data.tests.len(), 1);
    assert!(package.findings.iter().any(|finding| finding.file == "data/secret/a b.in"));
}

fn compressed_zip(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut zip = ::zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file(name, ::zip::write::SimpleFileOptions::default()).unwrap();
    zip.write_all(bytes).unwrap();
    zip.finish().unwrap().into_inner()
}

/// The position of the first `PK` signature of this kind.
fn signature(zip: &[u8], kind: [u8; 2]) -> usize {
    zip.windows(4).position(|w| w == [b'P', b'K', kind[0], kind[1]]).unwrap()
}

#[test]
fn entries_of_zips_are_verified() {
    let file = 0o100_644;
    let whole = zip(&[(b"abc", file, b"hello")]);
    let directory = signature(&whole, [1, 2]);
    let changed = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[directory + at] = byte;
        bytes
    };
    refused_bytes(&changed(8, 1), &["abc", "encrypted"]);
    refused_bytes(&changed(10, 12), &["abc", "use deflate"]);
    refused_bytes(&changed(24, 4), &["abc", "cannot be unpacked"]);
    refused_bytes(&changed(24, 6), &["abc", "instead of 6"]);
    refused_bytes(&changed(45, 0x7f), &["abc", "cannot be unpacked"]);
}

#[test]
fn overlapping_entries_count_towards_the_size_limits() {
    let bytes = vec![7; 400 << 10];
    let mut bomb = compressed_zip("0", &bytes);
    let directory = signature(&bomb, [1, 2]);
    let end = signature(&bomb, [5, 6]);
    let (entry, mut tail) = (bomb[directory..end].to_vec(), bomb[end..].to_vec());
    bomb.truncate(directory);
    for name in b'0'..=b'8' {
        let mut entry = entry.clone();
        entry[46] = name;
        bomb.extend_from_slice(&entry);
    }
    let size = u32::try_from(bomb.len() - directory).unwrap();
    tail[8] = 9;
    tail[10] = 9;
    tail[12..16].copy_from_slice(&size.to_le_bytes());
    bomb.extend_from_slice(&tail);
    let size_limits = SizeLimits { unpacked: 1 << 20, ..SizeLimits::default() };
    let Err(Error::TooLarge(message)) = read_with(&bomb, &size_limits).1 else { panic!() };
    assert!(message.contains("in total"), "{message}");
}

#[test]
fn directory_of_a_zip_is_limited() {
    let names: Vec<String> = (0..40_000).map(|i| format!("{i:050}")).collect();
    let entries: Vec<(&[u8], u32, &[u8])> =
        names.iter().map(|name| (name.as_bytes(), 0o100_644, b"".as_slice())).collect();
    let bytes = zip(&entries);
    for (entries, part) in [(39_999, "more than 39999 entries"), (10, "directory")] {
        let size_limits = SizeLimits { entries, ..SizeLimits::default() };
        let Err(Error::TooLarge(message)) = read_with(&bytes, &size_limits).1 else { panic!() };
        assert!(message.contains(part), "{message}");
    }
    let long = vec![b'x'; 5000];
    refused_bytes(&zip(&[(&long, 0o100_644, b"")]), &["path that is too long"]);
}
