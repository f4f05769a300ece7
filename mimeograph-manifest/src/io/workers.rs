//! A fixed number of workers that take one piece of work after the other.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Does `work` on every item, `count` at once, and returns the results in order. The first error makes the others stop at
/// their next item.
pub fn each<T, R, E>(
    items: &[T],
    count: usize,
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E>
where
    T: Sync,
    R: Send,
    E: Send,
{
    each_with(items, count, |(): &mut (), item| work(item))
}

/// The same, where each worker has something of its own, a buffer for instance, that it takes from item to item.
pub fn each_with<T, R, E, S>(
    items: &[T],
    count: usize,
    work: impl Fn(&mut S, &T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E>
where
    T: Sync,
    R: Send,
    E: Send,
    S: Default,
{
    let next = AtomicUsize::new(0);
    let one = || {
        let (mut done, mut own) = (Vec::new(), S::default());
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(number) else {
                return Ok(done);
            };
            match work(&mut own, item) {
                Ok(result) => done.push((number, result)),
                Err(error) => {
                    next.store(items.len(), Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
    };
    let results = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..count.max(1)).map(|_| scope.spawn(one)).collect();
        // A panic in a worker goes on here, as the bug that it is.
        let ended = workers.into_iter().map(|worker| {
            worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        ended.collect::<Result<Vec<_>, E>>()
    })?;
    let mut done: Vec<_> = results.into_iter().flatten().collect();
    done.sort_unstable_by_key(|(number, _)| *number);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_the_first_error_ends_all() {
        let items: Vec<u32> = (0..1000).collect();
        let doubled = each(&items, 7, |n| Ok::<_, ()>(n * 2)).unwrap();
        assert_eq!(doubled, items.iter().map(|n| n * 2).collect::<Vec<_>>());
        let failed = each(&items, 7, |n| if *n == 500 { Err(*n) } else { Ok(()) });
        assert_eq!(failed, Err(500));
        assert_eq!(each(&[], 7, |(): &()| Ok::<_, ()>(())), Ok(Vec::new()));
    }
}
