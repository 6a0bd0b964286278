package witness

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"vitrine.example/internal/store"
)

// syncEvery is how many growths the file may be ahead of the disk: what a power
// cut can take back of it. A killed process takes back nothing.
const syncEvery = 64

// ErrState is returned while the witness cannot show that its database holds all
// that its keys have signed: nothing is cosigned until [Witness.Recover].
var ErrState = errors.New("the state of the witness was lost")

// state compares the database with a file that is no part of it. The file counts
// the growths whose cosignatures may have left the house; a database that has
// counted fewer is not the one that they were noted in.
type state struct {
	path string // "": none is kept

	mu        sync.Mutex
	f         *os.File
	mark      mark
	slot      int64 // that is written next
	synced    int64
	refusal   string // why nothing is cosigned
	recovered bool   // once: logs that are added may have been cosigned before
}

// NewState makes the file of a witness whose keys have signed nothing yet.
func NewState(path string) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("making the state of a witness: %s: %w", path, os.ErrExist)
	}
	if err := saveMark(path, newMark(0)); err != nil {
		return fmt.Errorf("making the state of a witness: %w", err)
	}
	return nil
}

// Open is [New] for a witness that keeps a state outside of its database
// (Options.State), and compares the two. It succeeds where they do not agree, as
// the node has other work; [Witness.Lost] tells, and nothing is cosigned.
func Open(ctx context.Context, o Options) (*Witness, error) {
	w, err := New(o)
	if err != nil || o.State == "" {
		return w, err
	}
	if err := w.openState(ctx); err != nil {
		return nil, fmt.Errorf("starting a witness: comparing %s with the database: %w", o.State, err)
	}
	if why := w.Lost(); why != "" {
		w.o.Log.Error("nothing is cosigned until an operator recovers the witness", "reason", why)
	}
	return w, nil
}

// Close frees what Open has opened. The witness cosigns nothing afterwards.
func (w *Witness) Close() error {
	s := &w.state
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f == nil {
		return nil
	}
	s.refusal = "the witness is stopping"
	err := errors.Join(s.f.Sync(), s.f.Close())
	s.f = nil
	return err
}

// Lost says why the witness cosigns nothing at all; "" where it does.
func (w *Witness) Lost() string {
	w.state.mu.Lock()
	defer w.state.mu.Unlock()
	return w.state.refusal
}

// trusted refuses requests while the state is lost.
func (w *Witness) trusted() error {
	if w.Lost() == "" {
		return nil
	}
	return later(http.StatusServiceUnavailable, time.Minute, "%s: nothing is cosigned until its operator has recovered it", ErrState)
}

// cautious reports whether a log that is added may have been cosigned before.
func (w *Witness) cautious() bool {
	w.state.mu.Lock()
	defer w.state.mu.Unlock()
	return w.state.refusal != "" || w.state.recovered
}

func (w *Witness) openState(ctx context.Context) error {
	f, m, err := openMark(w.o.State)
	if errors.Is(err, errNoMark) {
		w.state.refusal = err.Error()
		return nil
	} else if err != nil {
		return err
	}
	var why string
	var counted int64
	err = w.update(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		var recovered bool
		if counted, recovered, why, err = compare(ctx, tx, m); err != nil {
			return err
		}
		w.state.recovered = recovered
		if why != "" {
			_, err = tx.ExecContext(ctx, `UPDATE witness_state SET behind = $1`, true) // for other processes
		} else if m.count == 0 {
			_, err = tx.ExecContext(ctx, `INSERT INTO witness_state (id, growths, behind, recovered, reason)
				VALUES ($1, 0, $2, 0, '') ON CONFLICT (id) DO NOTHING`, m.id[:], false)
		}
		return err
	})
	if err != nil || why != "" {
		w.state.refusal = why
		return errors.Join(err, f.Close())
	}
	w.state.f, w.state.mark, w.state.synced, w.state.refusal = f, m, -syncEvery, ""
	return w.state.note(counted)
}

// compare says why the database is not the one of the mark.
func compare(ctx context.Context, tx *store.Tx, m mark) (counted int64, recovered bool, why string, err error) {
	var behind bool
	var when int64
	err = tx.QueryRowContext(ctx, `SELECT growths, behind, recovered FROM witness_state WHERE id = $1`, m.id[:]).Scan(&counted, &behind, &when)
	switch {
	case errors.Is(err, sql.ErrNoRows) && m.count == 0:
		return 0, false, "", nil // nothing was signed yet
	case errors.Is(err, sql.ErrNoRows):
		return 0, false, "the database knows nothing of what was cosigned: it was lost, or is another", nil
	case err != nil:
		return 0, false, "", err
	case counted < m.count:
		why = fmt.Sprintf("the database is older than what was cosigned: it has counted %d growths of logs, and %d may have been cosigned", counted, m.count)
	case behind:
		why = "another process has found the database to be older than what was cosigned"
	}
	return counted, when != 0, why, nil
}

// CheckState compares file and database as [Open] does, and changes nothing.
func CheckState(ctx context.Context, db *store.DB, path string) (why string, err error) {
	f, m, err := openMark(path)
	if errors.Is(err, errNoMark) {
		return err.Error(), nil
	} else if err != nil {
		return "", err
	}
	err = db.View(ctx, func(ctx context.Context, tx *store.Tx) (err error) {
		_, _, why, err = compare(ctx, tx, m)
		return err
	})
	return why, errors.Join(err, f.Close())
}

// move counts growths in the transaction that makes them. It fails where the
// database was exchanged for an older one meanwhile.
func (w *Witness) move(ctx context.Context, tx *store.Tx, n int64) error {
	s := &w.state
	if s.path == "" || n == 0 {
		return nil
	}
	s.mu.Lock()
	m, refusal := s.mark, s.refusal
	s.mu.Unlock()
	if refusal != "" {
		return w.trusted()
	}
	err := execOne(ctx, tx, `UPDATE witness_state SET growths = growths + $2 WHERE id = $1 AND growths >= $3 AND NOT behind`, m.id[:], n, m.count)
	if !errors.Is(err, ErrUnknown) {
		return err
	}
	return ErrState
}

// counted is called between the commit of growths and the answers that tell of
// them: none leaves before it stands in the file.
func (w *Witness) counted(n int64) error {
	if w.state.path == "" || n == 0 {
		return nil
	}
	w.state.mu.Lock()
	defer w.state.mu.Unlock()
	if w.state.f == nil {
		return ErrState
	}
	return w.state.note(w.state.mark.count + n)
}

// lose stops the witness: the database is not what it was.
func (w *Witness) lose() {
	w.state.mu.Lock()
	defer w.state.mu.Unlock()
	if w.state.refusal == "" {
		w.state.refusal = "the database was exchanged for an older one while the witness ran"
		w.o.Log.Error("nothing is cosigned until an operator recovers the witness", "reason", w.state.refusal)
	}
}

// note writes a count into the file.
func (s *state) note(count int64) error {
	next := mark{s.mark.id, count}
	if _, err := s.f.WriteAt(next.text(), s.slot*markSlot); err != nil {
		return fmt.Errorf("noting what was cosigned: %w", err)
	}
	if count-s.synced >= syncEvery {
		if err := s.f.Sync(); err != nil {
			return fmt.Errorf("noting what was cosigned: %w", err)
		}
		s.synced = count
	}
	s.mark, s.slot = next, (s.slot+1)%markSlots
	return nil
}
