//! Splits lines into words: runs of ASCII letters and digits, in lower case.

use wasmill_sdk::prelude::*;

/// Emits each word of a line as a key.
#[operator]
pub fn split(line: Record<'_, (), Text>, out: &mut Output<Text, ()>) {
    let line = line.value.to_ascii_lowercase();
    for word in line.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        out.emit(word, ());
    }
}

#[cfg(test)]
mod tests {
    use wasmill_sdk::testing::Harness;

    use super::*;

    #[test]
    fn a_line_becomes_its_words() {
        let mut harness = Harness::<split>::open("{}").unwrap();
        harness.push((), "It is -- I say 20,000!", 0).unwrap();
        harness.push((), "", 0).unwrap();
        let words: Vec<String> = harness.output().into_iter().map(|(word, ..)| word).collect();
        assert_eq!(words, ["it", "is", "i", "say", "20", "000"]);
    }
}
