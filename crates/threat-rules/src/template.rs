//! Texts of rules with places that are filled during a walk: `%{tx.allowed_methods}`.

use zentinel_modsec::parser::VariableName;

/// A text, read once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Template(Vec<Piece>);

#[derive(Debug, Clone)]
enum Piece {
    Text(Vec<u8>),
    Place(Place),
}

/// What fills a place: one value of a variable.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) variable: VariableName,
    /// In lower case; empty for a variable that is one value.
    pub(crate) key: Vec<u8>,
}

impl Template {
    /// Reads a text. An error is the place that means nothing.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("%{") {
            let Some((place, after)) = after.split_once('}') else { break };
            if !before.is_empty() {
                pieces.push(Piece::Text(before.as_bytes().to_vec()));
            }
            pieces.push(Piece::Place(Place::read(place)?));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.as_bytes().to_vec()));
        }
        Ok(Self(pieces))
    }

    /// The text, where nothing has to be filled in.
    pub(crate) fn fixed(&self) -> Option<&[u8]> {
        match self.0.as_slice() {
            [] => Some(b""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether the text is the same for every request as long as `TX` is.
    pub(crate) fn is_of_rules(&self) -> bool {
        self.0.iter().all(
            |piece| !matches!(piece, Piece::Place(place) if place.variable != VariableName::Tx),
        )
    }

    /// The text with its places filled by `value`; what has no value is left out.
    pub(crate) fn filled(&self, mut value: impl FnMut(&Place) -> Option<Vec<u8>>) -> Vec<u8> {
        let mut text = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(fixed) => text.extend(fixed),
                Piece::Place(place) => text.extend(value(place).unwrap_or_default()),
            }
        }
        text
    }
}

impl Place {
    fn read(text: &str) -> Result<Self, String> {
        let (variable, key) = text.split_once(['.', ':']).unwrap_or((text, ""));
        let variable = VariableName::from_str(variable)
            .ok_or_else(|| format!("%{{{text}}} is no variable"))?;
        Ok(Self { variable, key: key.to_ascii_lowercase().into_bytes() })
    }
}
