//! SQL with lines that are for servers of some majors only: a line that ends with `-- from N`, `-- until N`, or
//! `-- from N until M` is left out for all others. So one file holds a question in all its dialects.

use pgdrill_model::units::Major;

/// The lines of `sql` that are for a server of this major.
pub fn for_major(sql: &str, major: Major) -> String {
    let mut text = String::with_capacity(sql.len());
    for line in sql.lines().filter(|line| speaks_to(line, major)) {
        text.push_str(line);
        text.push('\n');
    }
    text
}

fn speaks_to(line: &str, major: Major) -> bool {
    let Some((_, comment)) = line.rsplit_once("-- ") else { return true };
    let words: Vec<&str> = comment.split_whitespace().collect();
    let number = |word: &str| word.parse::<u32>().ok();
    match words.as_slice() {
        ["from", from] => number(from).is_none_or(|from| u32::from(major.0) >= from),
        ["until", until] => number(until).is_none_or(|until| u32::from(major.0) <= until),
        ["from", from, "until", until] => match (number(from), number(until)) {
            (Some(from), Some(until)) => (from..=until).contains(&u32::from(major.0)),
            _ => true,
        },
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_major_gets_its_own_lines() {
        let sql = "SELECT a -- a word from 14 on\n, b -- from 14\n, c -- until 13\n, d -- from 15 until 16\nFROM t\n";
        let of = |major| for_major(sql, Major(major));
        assert_eq!(of(13), "SELECT a -- a word from 14 on\n, c -- until 13\nFROM t\n");
        assert_eq!(of(14), "SELECT a -- a word from 14 on\n, b -- from 14\nFROM t\n");
        assert_eq!(
            of(16),
            "SELECT a -- a word from 14 on\n, b -- from 14\n, d -- from 15 until 16\nFROM t\n"
        );
        assert_eq!(of(17), "SELECT a -- a word from 14 on\n, b -- from 14\nFROM t\n");
    }
}
