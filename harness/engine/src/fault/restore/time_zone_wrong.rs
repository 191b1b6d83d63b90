//! `time-zone-wrong`: the target time is given without an offset, and the restored server is nine hours east of where it
//! was meant. (In the names of these zones the sign is that of POSIX.)

const TARGET: &str = "recovery_target_time = '";

const ELSEWHERE: &str = "timezone = 'Etc/GMT-9'\n";

pub(super) fn change(text: &mut String) -> Option<String> {
    let start = text.find(TARGET)? + TARGET.len();
    let end = start + text[start..].find('\'')?;
    let time = text[start..end].to_owned();
    let clock = time.find(':')?;
    let offset = clock + time[clock..].find(['+', '-', 'Z'])?;
    text.replace_range(start..end, time[..offset].trim_end());
    text.push_str(ELSEWHERE);
    Some(format!("the target time is given without its offset {}, in the zone Etc/GMT-9", &time[offset..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_offset_goes() {
        let mut text = "a = 1\nrecovery_target_time = '2026-01-02 03:04:05.678901+00'\nb = 2\n".to_owned();
        assert!(change(&mut text).is_some());
        assert!(
            text.contains("recovery_target_time = '2026-01-02 03:04:05.678901'\nb = 2\ntimezone"),
            "{text}"
        );
        assert_eq!(change(&mut "recovery_target = 'immediate'\n".to_owned()), None);
    }
}
