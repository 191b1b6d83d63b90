//! `limits-too-small`: the restored server has fewer connections than the lost one, as on a smaller machine.

/// What every drill's primary has more than.
const TOO_FEW: &str = "max_connections = 20\n";

pub(super) fn change(text: &mut String) -> Option<String> {
    text.push_str(TOO_FEW);
    Some(TOO_FEW.trim().to_owned())
}
