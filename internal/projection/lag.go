package projection

import (
	"context"
	"fmt"
	"time"

	"vitrine.example/internal/store"
)

// seen is what is known of a log's growth, for telling how late the tables are.
type seen struct {
	size  int64
	at    time.Time // of the newest checkpoint
	marks []mark    // sizes beyond what is projected, oldest first
}

// mark is when a size was first seen.
type mark struct {
	size int64
	at   time.Time
}

const maxMarks = 64

// note takes down a look at the log.
func (s *seen) note(size int64, at time.Time, next int64, now time.Time) {
	if size > s.size && size > next {
		if len(s.marks) == maxMarks { // the oldest tells the lag; the newest may be coarse
			s.marks = s.marks[:maxMarks-1]
		}
		s.marks = append(s.marks, mark{size, now})
	}
	s.size, s.at = max(s.size, size), at
	s.passed(next)
}

// passed forgets what is projected.
func (s *seen) passed(next int64) {
	for len(s.marks) > 0 && s.marks[0].size <= next {
		s.marks = s.marks[1:]
	}
}

// since returns when the oldest entry that is not projected was first seen;
// zero where there is none.
func (s *seen) since() time.Time {
	if len(s.marks) == 0 {
		return time.Time{}
	}
	return s.marks[0].at
}

// State tells how far one log is followed.
type State struct {
	Origin    string
	Own       bool
	Published int64         // entries that the newest checkpoint covers, as last seen
	Projected int64         // of these
	At        time.Time     // of the newest checkpoint
	Late      time.Duration // how long the oldest entry that is not projected waits
	Counts
	Missing int64 // entries whose statement is not held here or is damaged
	Problem error // of the last step
}

// Behind returns how many published entries are not projected.
func (s *State) Behind() int64 { return max(s.Published-s.Projected, 0) }

// Lag tells how far the projection of the own log is: the first entry that is
// not projected, how many are published, and what went wrong in the last step,
// if anything.
func (p *Projection) Lag(ctx context.Context) (next, published int64, err error) {
	f, err := p.followed(p.Origin)
	if err != nil {
		return 0, 0, err
	}
	published, _, err = f.log.Published(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("reading the size of the log: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next, max(published, f.next), f.problem
}

// Logs tells how far all followed logs are, the own one first, then by origin.
// Other logs are not asked: it is as the last step has seen them.
func (p *Projection) Logs(ctx context.Context) ([]State, error) {
	all := p.all()
	counts := map[int64]State{}
	err := p.DB.View(ctx, func(ctx context.Context, tx *store.Tx) error {
		clear(counts)
		return countLogs(ctx, tx, counts)
	})
	if err != nil {
		return nil, fmt.Errorf("counting what is projected: %w", err)
	}
	out := make([]State, 0, len(all))
	for _, f := range all {
		s := counts[f.id]
		s.Origin, s.Own = f.origin, f == p.own
		f.mu.Lock()
		s.Projected, s.Published, s.At, s.Problem = f.next, max(f.seen.size, f.next), f.seen.at, f.problem
		if since := f.seen.since(); !since.IsZero() {
			s.Late = max(p.Now().Sub(since), 0)
		}
		f.mu.Unlock()
		out = append(out, s)
	}
	return out, nil
}

func countLogs(ctx context.Context, tx *store.Tx, counts map[int64]State) error {
	rows, err := tx.QueryContext(ctx, `SELECT id, statements, releases,
		(SELECT COUNT(*) FROM projected_entry AS e WHERE e.log_id = projected_log.id AND e.again > 0)
		FROM projected_log`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var s State
		if err := rows.Scan(&id, &s.Statements, &s.Releases, &s.Missing); err != nil {
			return err
		}
		counts[id] = s
	}
	return rows.Err()
}

// LogState is Logs for one log, or [ErrUnknown].
func (p *Projection) LogState(ctx context.Context, origin string) (State, error) {
	all, err := p.Logs(ctx)
	if err != nil {
		return State{}, err
	}
	for _, s := range all {
		if s.Origin == origin {
			return s, nil
		}
	}
	return State{}, fmt.Errorf("log %s: %w", origin, ErrUnknown)
}

// Leaf returns an entry of a followed log that a published checkpoint covers,
// or [ErrUnknown].
func (p *Projection) Leaf(ctx context.Context, origin string, index int64) ([]byte, error) {
	f, err := p.followed(origin)
	if err != nil {
		return nil, err
	}
	size, _, err := f.log.Published(ctx)
	if err != nil {
		return nil, fmt.Errorf("reading the size of the log %s: %w", origin, err)
	}
	if index < 0 || index >= size {
		return nil, fmt.Errorf("entry %d of %s: %w", index, origin, ErrUnknown)
	}
	leaves, err := f.leaves(ctx, index, 1)
	if err != nil {
		return nil, fmt.Errorf("entry %d of %s: %w", index, origin, err)
	}
	return leaves[0], nil
}
