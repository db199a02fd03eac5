//! A server that takes requests as the most lenient ones do: a line ends with a line feed, names and values may have space around
//! them, a line that begins with space goes on with the one before, and a number is as much of a text as is one.

/// Every party that such a server could take a request of the connection to be for, without its port: all hosts, all targets.
pub(super) fn parties(mut bytes: &[u8]) -> Vec<String> {
    let mut parties = Vec::new();
    while let Some(request) = request(&mut bytes) {
        parties.extend(request.iter().take(1).filter_map(|line| target(line)));
        parties.extend(request.iter().skip(1).filter_map(|line| header(line, "host")).map(|host| without_port(&host)));
        if body(&request, &mut bytes).is_none() {
            break;
        }
    }
    parties
}

/// The lines of a head: the first is the request's.
fn request(bytes: &mut &[u8]) -> Option<Vec<String>> {
    let mut lines: Vec<String> = Vec::new();
    loop {
        let line = line(bytes)?;
        if line.trim().is_empty() {
            if lines.is_empty() {
                continue;
            }
            return Some(lines);
        }
        match lines.last_mut() {
            Some(before) if line.starts_with([' ', '\t']) => before.push_str(&line),
            _ => lines.push(line),
        }
    }
}

fn line(bytes: &mut &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line = String::from_utf8_lossy(&bytes[..end]).trim_end_matches('\r').to_owned();
    *bytes = &bytes[end + 1..];
    Some(line)
}

/// The party that a request's target names.
fn target(line: &str) -> Option<String> {
    let target = line.split_whitespace().nth(1)?;
    // a tunnel leads to what its target says, and nobody reads what is in it
    if line.to_ascii_uppercase().starts_with("CONNECT ") {
        return Some(target.to_owned());
    }
    let target = Some(target).filter(|target| !target.starts_with('/'))?;
    Some(without_port(target.split_once("://")?.1.split(['/', '?', '#']).next()?))
}

fn without_port(authority: &str) -> String {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    host.to_owned()
}

fn header(line: &str, name: &str) -> Option<String> {
    let (found, value) = line.split_once(':')?;
    found.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
}

/// Takes the body; nothing where it is not whole.
fn body(request: &[String], bytes: &mut &[u8]) -> Option<()> {
    let value = |name: &str| request.iter().skip(1).filter_map(|line| header(line, name)).next_back();
    if value("transfer-encoding").is_some_and(|coding| coding.to_ascii_lowercase().contains("chunked")) {
        return chunks(bytes);
    }
    let length = value("content-length").map_or(0, |length| leading(&length, 10));
    *bytes = bytes.get(usize::try_from(length).ok()?..)?;
    Some(())
}

fn chunks(bytes: &mut &[u8]) -> Option<()> {
    loop {
        let size = leading(line(bytes)?.trim(), 16);
        if size == 0 {
            while !line(bytes)?.is_empty() {}
            return Some(());
        }
        *bytes = bytes.get(usize::try_from(size).ok()?..)?;
        line(bytes)?;
    }
}

/// The number that a text begins with.
fn leading(text: &str, radix: u32) -> u64 {
    let digits: String = text.chars().take_while(|digit| digit.is_digit(radix)).collect();
    u64::from_str_radix(&digits, radix).unwrap_or(0)
}
