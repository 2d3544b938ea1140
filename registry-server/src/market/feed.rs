//! The new versions of a plugin as an Atom feed (RFC 4287).

use std::fmt::Write as _;
use url::Url;
use windlass_package::release::Release;

/// Versions that a feed holds: what a reader that comes once a month has missed.
pub(super) const MAX_FEED: usize = 50;

/// The feed of `releases`, the latest publication first.
pub(super) fn atom(base: &Url, name: &str, releases: &[Release]) -> String {
    let mut latest: Vec<&Release> = releases.iter().collect();
    latest.sort_by_key(|release| std::cmp::Reverse(release.published));
    latest.truncate(MAX_FEED);
    let page = |path: &str| {
        let path = format!("/api/v1/plugins/{}{path}", name.replace(':', "/"));
        escape(&base.join(&path).map(String::from).unwrap_or(path))
    };
    let updated = latest.first().map(|release| release.published.to_string()).unwrap_or_default();
    let mut feed = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<feed xmlns=\"http://www.w3.org/2005/Atom\">\n  <title>{}</title>\n  <id>{}</id>\n  <updated>{updated}</updated>\n  <link rel=\"self\" href=\"{}\"/>\n",
        escape(name),
        page(""),
        page("/feed.xml"),
    );
    for release in latest {
        let link = page(&format!("/versions/{}", release.version));
        let status = release.status.notice().map(|(state, notice)| format!("{state}: {}. ", notice.reason));
        let words = format!("{}{}", status.unwrap_or_default(), release.summary);
        // Into a string: cannot fail.
        let _ = write!(
            feed,
            "  <entry>\n    <title>{} {}</title>\n    <id>{link}</id>\n    <link href=\"{link}\"/>\n    <updated>{}</updated>\n    <author><name>{}</name></author>\n    <summary>{}</summary>\n  </entry>\n",
            escape(name),
            release.version,
            release.published,
            escape(release.name.namespace()),
            escape(&words),
        );
    }
    feed.push_str("</feed>\n");
    feed
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
