package holdings

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"vitrine.example/digest"
	"vitrine.example/internal/content"
	"vitrine.example/internal/store"
	"vitrine.example/statement"
	"vitrine.example/tlog"
)

// When and how often something is asked for.
const (
	askBatch   = 64               // items in one step
	firstPause = time.Second      // after the first ask, doubled with each
	longPause  = time.Hour        // at most
	latePause  = 12 * time.Hour   // at most, once it is reported
	crowded    = 5 * time.Second  // where everybody who could be asked is left alone
	fullPause  = 10 * time.Minute // where there is no room
	minAsked   = 5                // before anything is called withheld
)

// item is something that a log names.
type item struct {
	index  int64
	kind   int
	sha256 digest.Digest
	size   int64
	stage  int
	since  time.Time // zero: never asked for
	asked  int64
	places []statement.WithheldPlace

	arrived time.Time // zero: it did not
	report  digest.Digest
}

// askDue asks for what is due and returns for how much.
func (h *Holdings) askDue(ctx context.Context, l *log, kind int) (int, error) {
	due, err := h.due(ctx, l, kind)
	if err != nil || len(due) == 0 {
		return 0, err
	}
	next := make(chan *item)
	errs := make([]error, h.o.Limits.PerLog)
	var work sync.WaitGroup
	for w := range errs {
		work.Go(func() {
			for it := range next {
				if errs[w] == nil {
					errs[w] = h.ask(ctx, l, it)
				}
			}
		})
	}
	for i := range due {
		next <- &due[i]
	}
	close(next)
	work.Wait()
	return len(due), errors.Join(errs...)
}

func (h *Holdings) due(ctx context.Context, l *log, kind int) (out []item, err error) {
	err = h.o.DB.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		out, err = items(ctx, tx, `log_id = $1 AND kind = $2 AND state = 0 AND next_try <= $3 ORDER BY next_try, idx LIMIT $4`,
			l.id, kind, h.o.Now().UnixMicro(), askBatch)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading what is wanted: %w", err)
	}
	return out, nil
}

// items reads rows.
func items(ctx context.Context, tx *store.Tx, where string, args ...any) (out []item, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT idx, kind, sha256, size, stage, since, asked, places, arrived, report FROM holding_item WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var it item
		var sum, report []byte
		var since, arrived int64
		var places string
		if err := rows.Scan(&it.index, &it.kind, &sum, &it.size, &it.stage, &since, &it.asked, &places, &arrived, &report); err != nil {
			return nil, err
		}
		if len(sum) != digest.Size {
			return nil, fmt.Errorf("a digest of %d bytes: %w", len(sum), store.ErrDamaged)
		}
		it.sha256 = digest.Digest(sum)
		if len(report) == digest.Size {
			it.report = digest.Digest(report)
		}
		it.since, it.arrived = fromMicro(since), fromMicro(arrived)
		if places != "" {
			if err := json.Unmarshal([]byte(places), &it.places); err != nil {
				return nil, fmt.Errorf("who was asked: %w: %w", err, store.ErrDamaged)
			}
		}
		out = append(out, it)
	}
	return out, rows.Err()
}

// fromMicro reads a time, zero where there is none.
func fromMicro(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// ask asks for an item, here first and then everybody who may have it, and
// notes what came of it.
func (h *Holdings) ask(ctx context.Context, l *log, it *item) error {
	if it.kind == kindContent {
		if in, err := h.o.Content.Stat(it.sha256); err == nil {
			return h.have(ctx, l, it, in)
		} else if !errors.Is(err, content.ErrUnknown) {
			return err
		}
	}
	if fits, ever := h.room.take(it.kind, it.need()); !ever {
		return h.passOver(ctx, l, it)
	} else if !fits {
		return h.later(ctx, l, it, fullPause)
	}
	defer h.room.give(it.kind, it.need())
	any := false
	now := h.o.Now().UTC()
	for _, p := range h.peers(l, it) {
		if h.hosts.resting(p.URL) {
			continue
		}
		got, answer, err := h.get(ctx, l, it, p)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, content.ErrConflict) {
			return h.passOver(ctx, l, it)
		} else if err != nil {
			return err // our own fault: the disk, the database
		}
		h.hosts.note(p.URL, answer)
		it.note(p.URL, answer, p.Origin == l.origin)
		any = true
		if got != nil {
			return h.keep(ctx, l, it, now, got)
		}
	}
	if !any {
		return h.later(ctx, l, it, crowded)
	}
	return h.missed(ctx, l, it, now)
}

// need is how many bytes an item may take.
func (it *item) need() int64 {
	if it.kind == kindEnvelope {
		return statement.MaxSize
	}
	return it.size
}

// note takes down an answer; the log's own node comes first.
func (it *item) note(url, answer string, own bool) {
	for i := range it.places {
		if p := &it.places[i]; p.URL == url {
			p.Asked, p.Answer = p.Asked+1, answer
			return
		}
	}
	p := statement.WithheldPlace{URL: url, Asked: 1, Answer: answer}
	if full := len(it.places) == statement.MaxWithheldPlaces; full && !own {
		return
	} else if full {
		it.places = it.places[:len(it.places)-1]
	}
	if own {
		it.places = slices.Insert(it.places, 0, p)
	} else {
		it.places = append(it.places, p)
	}
}

// peers returns whom to ask: the log's own node, then others, not always the
// same first.
func (h *Holdings) peers(l *log, it *item) (out []Member) {
	h.mu.Lock()
	defer h.mu.Unlock()
	var others []Member
	for _, m := range h.members {
		switch m.Origin {
		case l.origin:
			out = append(out, m)
		case h.o.Origin:
		default:
			others = append(others, m)
		}
	}
	if len(out) > 1 {
		out = out[:1]
	}
	for i := range others {
		if len(out) == statement.MaxWithheldPlaces {
			break
		}
		out = append(out, others[(it.index+it.asked+int64(i))%int64(len(others))])
	}
	return out
}

// missed notes that nobody gave an item. It is late when it was asked for long
// enough, often enough, and once more after its deadline.
func (h *Holdings) missed(ctx context.Context, l *log, it *item, now time.Time) error {
	if it.since.IsZero() {
		it.since = now
	}
	it.asked++
	deadline := it.since.Add(h.o.WithheldAfter)
	late := it.asked >= minAsked && !now.Before(deadline)
	next := now.Add(pauseAfter(it.asked, longPause))
	switch {
	case it.stage >= stageReported:
		next = now.Add(pauseAfter(it.asked, latePause))
	case now.Before(deadline) && next.After(deadline):
		next = deadline
	}
	places, err := json.Marshal(it.places)
	if err != nil {
		return err
	}
	err = h.notes.update(ctx, func(ctx context.Context, tx *store.Tx) error {
		return one(tx.ExecContext(ctx, `UPDATE holding_item SET since = $1, asked = $2, next_try = $3, places = $4,
			stage = CASE WHEN stage = 0 AND $5 THEN 1 ELSE stage END
			WHERE log_id = $6 AND idx = $7 AND kind = $8 AND sha256 = $9 AND state = 0`,
			it.since.UnixMicro(), it.asked, next.UnixMicro(), string(places), late, l.id, it.index, it.kind, it.sha256[:]))
	})
	if err != nil {
		return fmt.Errorf("noting what nobody has: %w", err)
	}
	return nil
}

// pauseAfter is how long to wait after so many asks.
func pauseAfter(asked int64, most time.Duration) time.Duration {
	return min(firstPause<<min(asked-1, 30), most)
}

// later asks again after a pause; nobody was asked.
func (h *Holdings) later(ctx context.Context, l *log, it *item, pause time.Duration) error {
	return h.set(ctx, l, it, `next_try = $1`, h.o.Now().Add(pause).UnixMicro())
}

// passOver gives an item up that there will be no room for, or that is held
// under another access class.
func (h *Holdings) passOver(ctx context.Context, l *log, it *item) error {
	return h.set(ctx, l, it, `state = $1, stage = 0`, passed)
}

func (h *Holdings) set(ctx context.Context, l *log, it *item, what string, arg any) error {
	err := h.notes.update(ctx, func(ctx context.Context, tx *store.Tx) error {
		return one(tx.ExecContext(ctx, `UPDATE holding_item SET `+what+`
			WHERE log_id = $2 AND idx = $3 AND kind = $4 AND sha256 = $5 AND state = 0`,
			arg, l.id, it.index, it.kind, it.sha256[:]))
	})
	if err != nil {
		return fmt.Errorf("noting what is not asked for: %w", err)
	}
	return nil
}

// leafOf is the leaf hash of the entry behind which an envelope is wanted.
func (it *item) leafOf() tlog.Hash { return tlog.Hash(it.sha256) }
