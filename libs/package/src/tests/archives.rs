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
    hostile(b"C:/x", T::Regular, "", &["C:/x", "absolute"]);
    hostile(b"data\\x", T::Regular, "", &["data\\x", "backslash"]);
    hostile(b"data/\xff", T::Regular, "", &["data/", "not UTF-8"]);
    hostile(b"problem.yaml", T::Regular, "", &["problem.yaml", "twice"]);
    hostile(b"problem.yaml/x", T::Regular, "", &["problem.yaml/x", "inside a file"]);
    hostile(b"dev", T::Char, "", &["dev", "device"]);
    hostile(b"pipe", T::Fifo, "", &["pipe", "device or pipe"]);
    hostile(b"s", T::GNUSparse, "", &["s", "not a regular file"]);
    hostile(b"l", T::Symlink, "/etc/passwd", &["l", "outside"]);
    hostile(b"l", T::Symlink, "../x", &["l", "outside"]);
    hostile(b"data/l", T::Symlink, "../../x", &["data/l", "outside"]);
    hostile(b"l", T::Symlink, "nothing", &["l", "does not exist"]);
    hostile(b"l", T::Symlink, "l", &["l", "cycle"]);
    hostile(b"data/l", T::Symlink, "..", &["data/l", "directory that contains it"]);
    hostile(b"l", T::Link, "/etc/passwd", &["/etc/passwd", "absolute"]);
    hostile(b"l", T::Link, "nothing", &["l", "does not exist"]);
}

#[test]
fn links_inside_are_followed() {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in &Files::minimal().0 {
        add(&mut tar, name, tar::EntryType::Regular, "", bytes);
    }
    let mut link = |name, target| add(&mut tar, name, tar::EntryType::Symlink, target, b"");
    link("data/secret/2.in", "1.in");
    link("data/secret/2.ans", "../secret/./1.ans");
    link("data/sample", "secret");
    let (_dir, package) = read_with(&tar.into_inner().unwrap(), &SizeLimits::default());
    let tests = package.unwrap().data.tests;
    assert_eq!(tests.len(), 4);
    assert_eq!(tests[0].input, tests[3].input);
}

#[test]
fn hostile_zips_are_refused() {
    let file = 0o100_644;
    refused_bytes(&zip(&[(b"../x", file, b"")]), &["../x", "leads out"]);
    refused_bytes(&zip(&[(b"a\xff", file, b"")]), &["a", "not UTF-8"]);
    refused_bytes(&zip(&[(b"a", file, b""), (b"a", file, b"")]), &["two entries of the same name"]);
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
