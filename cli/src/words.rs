//! Numbers and times in words.

use jiff::Timestamp;

/// A text, or a dash where there is none.
pub(crate) fn or_dash(text: Option<&str>) -> &str {
    text.filter(|text| !text.is_empty()).unwrap_or("-")
}

/// A number of things.
pub(crate) fn count(number: i64) -> String {
    number.to_string()
}

/// A number of bytes, as Kubernetes writes quantities.
pub(crate) fn bytes(bytes: i64) -> String {
    const UNITS: [(&str, i64); 4] = [("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];
    match UNITS.into_iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{}.{}{name}", bytes / unit, bytes % unit * 10 / unit),
        None => bytes.to_string(),
    }
}

/// How long ago something was, as kubectl writes ages.
pub(crate) fn age(since: Timestamp, now: Timestamp) -> String {
    rough(now.duration_since(since).as_secs().max(0))
}

/// An instant, and how far off it is.
pub(crate) fn until(instant: &str, now: Timestamp) -> String {
    let Ok(end) = instant.parse::<Timestamp>() else { return instant.to_owned() };
    match end.duration_since(now).as_secs() {
        rest if rest > 0 => format!("{instant} (in {})", rough(rest)),
        past => format!("{instant} ({} ago)", rough(-past)),
    }
}

/// Seconds in the two largest units that matter.
fn rough(seconds: i64) -> String {
    const MINUTE: i64 = 60;
    const HOUR: i64 = 60 * MINUTE;
    const DAY: i64 = 24 * HOUR;
    const YEAR: i64 = 365 * DAY;
    match seconds {
        ..120 => format!("{seconds}s"),
        120..HOUR => format!("{}m", seconds / MINUTE),
        HOUR..DAY => format!("{}h{}m", seconds / HOUR, seconds % HOUR / MINUTE),
        DAY..YEAR => format!("{}d", seconds / DAY),
        _ => format!("{}y{}d", seconds / YEAR, seconds % YEAR / DAY),
    }
}

/// Items with commas; a dash where there are none.
pub(crate) fn list(items: impl IntoIterator<Item = impl ToString>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    if items.is_empty() { "-".into() } else { items.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_quantities() {
        assert_eq!([0, 1023, 1024, 1_600_000, 5 << 30].map(bytes), ["0", "1023", "1.0Ki", "1.5Mi", "5.0Gi"]);
    }

    #[test]
    fn times_are_rough() {
        assert_eq!([5, 119, 3599, 3661, 86_400, 400 * 86_400].map(rough), ["5s", "119s", "59m", "1h1m", "1d", "1y35d"]);
        let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        assert_eq!(until("2026-06-03T00:00:00Z", now), "2026-06-03T00:00:00Z (in 2d)");
        assert_eq!(until("2026-05-31T00:00:00Z", now), "2026-05-31T00:00:00Z (1d ago)");
        assert_eq!(until("soon", now), "soon");
    }
}
