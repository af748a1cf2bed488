//! The starter set that is part of the program.

/// The files in their order, by the names that messages show.
pub(crate) const FILES: &[(&str, &str)] = &[
    ("builtin/10-protocol.conf", include_str!("../rules/10-protocol.conf")),
    ("builtin/20-scanners.conf", include_str!("../rules/20-scanners.conf")),
    ("builtin/30-paths.conf", include_str!("../rules/30-paths.conf")),
    ("builtin/40-remote-files.conf", include_str!("../rules/40-remote-files.conf")),
    ("builtin/50-commands.conf", include_str!("../rules/50-commands.conf")),
    ("builtin/60-sql.conf", include_str!("../rules/60-sql.conf")),
    ("builtin/70-scripts.conf", include_str!("../rules/70-scripts.conf")),
    ("builtin/80-templates.conf", include_str!("../rules/80-templates.conf")),
    ("builtin/90-server-requests.conf", include_str!("../rules/90-server-requests.conf")),
    ("builtin/91-objects.conf", include_str!("../rules/91-objects.conf")),
    ("builtin/92-sessions.conf", include_str!("../rules/92-sessions.conf")),
    ("builtin/95-paranoia.conf", include_str!("../rules/95-paranoia.conf")),
];
