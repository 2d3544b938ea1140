//! Which step waits for which: cycles, and what has ended whenever a step starts.
//!
//! No recursion: a chain of 10,000 steps is as deep as it is long.

/// The steps as indices; `needs[i]` are those that step `i` waits for.
pub(crate) struct Graph {
    needs: Vec<Vec<usize>>,
    /// A bit for each step that has ended when this one starts; made when first asked for. For 10,000 steps: 12.5 MB.
    closure: std::cell::OnceCell<Vec<u64>>,
}

impl Graph {
    pub(crate) fn new(needs: Vec<Vec<usize>>) -> Self {
        Graph { needs, closure: std::cell::OnceCell::new() }
    }

    /// A cycle, as the steps on it, each needing the next and the last the first.
    pub(crate) fn cycle(&self) -> Option<Vec<usize>> {
        #[derive(Clone, Copy, PartialEq)]
        enum Mark {
            New,
            Open,
            Done,
        }
        let mut marks = vec![Mark::New; self.needs.len()];
        for start in 0..self.needs.len() {
            if marks[start] != Mark::New {
                continue;
            }
            // The path from `start`, each with how many of its needs were followed.
            let mut path = vec![(start, 0)];
            marks[start] = Mark::Open;
            while let Some((step, followed)) = path.last_mut() {
                let step = *step;
                let Some(next) = self.needs[step].get(*followed).copied() else {
                    marks[step] = Mark::Done;
                    path.pop();
                    continue;
                };
                *followed += 1;
                match marks[next] {
                    Mark::New => {
                        marks[next] = Mark::Open;
                        path.push((next, 0));
                    }
                    Mark::Open => {
                        let from = path.iter().position(|(step, _)| *step == next).unwrap_or(0);
                        return Some(path[from..].iter().map(|(step, _)| *step).collect());
                    }
                    Mark::Done => {}
                }
            }
        }
        None
    }

    /// Whether `earlier` has ended whenever `step` starts. Only for a graph without cycles.
    pub(crate) fn reaches(&self, step: usize, earlier: usize) -> bool {
        let words = self.needs.len().div_ceil(64);
        let closure = self.closure.get_or_init(|| self.close(words));
        closure[step * words + earlier / 64] & (1 << (earlier % 64)) != 0
    }

    fn close(&self, words: usize) -> Vec<u64> {
        let count = self.needs.len();
        let mut closure = vec![0u64; count * words];
        let mut waiting: Vec<usize> = self.needs.iter().map(Vec::len).collect();
        let mut dependents = vec![Vec::new(); count];
        for (step, needs) in self.needs.iter().enumerate() {
            needs.iter().for_each(|need| dependents[*need].push(step));
        }
        let mut ready: Vec<usize> = (0..count).filter(|step| waiting[*step] == 0).collect();
        while let Some(step) = ready.pop() {
            for need in &self.needs[step] {
                for word in 0..words {
                    closure[step * words + word] |= closure[need * words + word];
                }
                closure[step * words + need / 64] |= 1 << (need % 64);
            }
            for dependent in &dependents[step] {
                waiting[*dependent] -= 1;
                if waiting[*dependent] == 0 {
                    ready.push(*dependent);
                }
            }
        }
        closure
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_and_reach() {
        let check = |needs: &[&[usize]], expect: Option<Vec<usize>>| {
            assert_eq!(Graph::new(needs.iter().map(|needs| needs.to_vec()).collect()).cycle(), expect, "{needs:?}");
        };
        check(&[], None);
        check(&[&[], &[0], &[0, 1]], None);
        check(&[&[0]], Some(vec![0]));
        check(&[&[], &[2], &[3], &[1]], Some(vec![1, 2, 3]));

        let diamond = Graph::new(vec![vec![], vec![0], vec![0], vec![1, 2], vec![]]);
        let reached: Vec<_> =
            (0..5).map(|step| (0..5).filter(|e| diamond.reaches(step, *e)).collect::<Vec<_>>()).collect();
        assert_eq!(reached, [vec![], vec![0], vec![0], vec![0, 1, 2], vec![]]);
    }
}
