//! The commonest judgement: a request names things in an array; what is refused of them is cut out of the request, and
//! stands in the broker's answer as refused.

use message_access::SessionEnd;

use crate::answer::{Said, Value};
use crate::context::within;
use crate::edit::Edit;
use crate::record::Record;
use crate::request::{Judged, Request};
use crate::wire;

/// The items of an array of a request, parted by what is allowed.
pub(crate) struct Sifted<'a> {
    /// How many are allowed.
    pub(crate) allowed: usize,
    /// Those that are not.
    pub(crate) denied: Vec<Record<'a>>,
    /// What makes the request one about the allowed alone.
    pub(crate) cut: Vec<Edit>,
}

/// Parts the items of an array of the outermost record, each judged on its own.
pub(crate) fn sift<'a>(
    request: &Request<'a>,
    array: &str,
    mut is_allowed: impl FnMut(&Record<'a>) -> Result<bool, SessionEnd>,
) -> Result<Sifted<'a>, SessionEnd> {
    let items = request.body.items(array)?;
    let count_span = items.count_span();
    let mut sifted = Sifted { allowed: 0, denied: Vec::new(), cut: Vec::new() };
    for item in items {
        let item = item?;
        if is_allowed(&item)? {
            sifted.allowed += 1;
        } else {
            sifted.cut.push(Edit::remove(item.span()));
            sifted.denied.push(item);
        }
    }
    if !sifted.denied.is_empty() {
        let count = wire::count(sifted.allowed, request.form().flexible);
        sifted.cut.insert(0, Edit::replace(count_span, count));
    }
    Ok(sifted)
}

impl<'a> Sifted<'a> {
    /// Forwards what is allowed, and has the rest stand in `array` of the answer, each as `refused` says. What is allowed
    /// in nothing is not forwarded at all: many requests mean everything by an empty array.
    pub(crate) fn act(
        &self,
        request: &Request<'a>,
        array: &'static str,
        refused: impl FnMut(&Record<'a>) -> Result<Said<'a>, SessionEnd>,
    ) -> Judged {
        self.act_with(request, array, refused, Vec::new())
    }

    /// The same, with these changes to the request, all of them in front of the array.
    pub(crate) fn act_with(
        &self,
        request: &Request<'a>,
        array: &'static str,
        refused: impl FnMut(&Record<'a>) -> Result<Said<'a>, SessionEnd>,
        mut edits: Vec<Edit>,
    ) -> Judged {
        let refused = self.denied.iter().map(refused).collect::<Result<Vec<_>, _>>()?;
        if self.allowed == 0 && !refused.is_empty() {
            return Ok(request.reply(&vec![(array, refused.into())]));
        }
        edits.extend_from_slice(&self.cut);
        request.forward_edited(&edits, request.insertion(array, &refused))
    }
}

/// All items of an array of the outermost record, each as `refused` says: the answer where none was allowed.
pub(crate) fn all_refused<'a>(
    request: &Request<'a>,
    array: &str,
    mut refused: impl FnMut(&Record<'a>) -> Result<Said<'a>, SessionEnd>,
) -> Result<Vec<Said<'a>>, SessionEnd> {
    let items = request.body.items(array)?;
    within(items.total())?;
    items.map(|item| refused(&item?)).collect()
}

/// A topic of an answer of which every partition has this error. The first pair says where the name stands in the request
/// and in the answer, then the arrays of partitions, then the partitions' numbers.
pub(crate) fn topic_error<'a>(
    topic: &Record<'a>,
    name: (&str, &'static str),
    partitions: (&str, &'static str),
    index: (&'static str, &'static str),
    error: i64,
) -> Result<Said<'a>, SessionEnd> {
    let of = topic.items(partitions.0)?;
    Ok(vec![
        (name.1, topic.text(name.0)?.into()),
        (partitions.1, Value::Partitions { of, index, error }),
    ])
}
