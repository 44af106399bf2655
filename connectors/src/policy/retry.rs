//! How often a message is tried again, and after which delay each time.

use std::time::Duration;

/// The delays between the tries of one message. A message that has used them up is dead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetrySchedule {
    /// The delay before each retry, in order; the last one stands for all that follow.
    pub delays: Vec<Duration>,
    /// How many retries there are.
    pub max: u32,
}

impl RetrySchedule {
    /// One retry for each of `delays`.
    pub fn new(delays: Vec<Duration>) -> Self {
        let max = u32::try_from(delays.len()).unwrap_or(u32::MAX);
        RetrySchedule { delays, max }
    }

    /// The delay before the next try of a message that has been retried `attempt` times, or `None` when it is dead.
    ///
    /// ```
    /// use std::time::Duration;
    /// use connectors::policy::RetrySchedule;
    ///
    /// let schedule = RetrySchedule::new(vec![Duration::from_secs(300), Duration::from_secs(600)]);
    /// assert_eq!(schedule.next(0), Some(Duration::from_secs(300)));
    /// assert_eq!(schedule.next(1), Some(Duration::from_secs(600)));
    /// assert_eq!(schedule.next(2), None);
    /// ```
    pub fn next(&self, attempt: u32) -> Option<Duration> {
        if attempt >= self.max {
            return None;
        }
        self.delays.get(attempt as usize).or(self.delays.last()).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_delay_repeats_up_to_the_maximum() {
        let schedule = RetrySchedule { delays: vec![Duration::from_secs(1), Duration::from_secs(2)], max: 4 };
        let seconds: Vec<_> = (0..6).map(|attempt| schedule.next(attempt).map(|d| d.as_secs())).collect();
        assert_eq!(seconds, [Some(1), Some(2), Some(2), Some(2), None, None]);
    }

    #[test]
    fn without_delays_there_is_no_retry() {
        assert_eq!(RetrySchedule { delays: vec![], max: 3 }.next(0), None);
    }
}
