package centre

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"vitrine.example/internal/content"
	"vitrine.example/internal/ledger"
	"vitrine.example/internal/source"
	"vitrine.example/internal/store"
	"vitrine.example/statement"
)

// holdFile lies in the directory of a node that must not sign: its log was
// restored, and nobody has said that no newer checkpoint of it is anywhere.
const holdFile = "hold"

// ErrHold says that a node signs nothing until somebody has made sure that its
// log is not behind what others have seen.
var ErrHold = errors.New("the node is on hold: its log was restored or is stale, and a newer one may have been seen elsewhere: ask everybody who may have")

// ErrLogLost says that a node had a log and has none.
var ErrLogLost = errors.New("the log is gone: going on would begin another one under its name: bring it back from a mirror")

// RestoreOptions say from where a log is restored.
type RestoreOptions struct {
	From         []string // URLs or directories; the newest is taken
	AcceptNewest bool     // nobody else can have seen a newer checkpoint
	Progress     func(done, total int64)
}

// RestoredLog is the outcome of RestoreLog.
type RestoredLog struct {
	*ledger.Restored
	Statements int64   `json:"statements"`        // fetched
	Missing    []int64 `json:"missing,omitempty"` // entries whose statement no source has; the first thousand
	Hold       bool    `json:"hold"`              // nothing is signed before ResumeLog
}

// maxMissing bounds RestoredLog.Missing.
const maxMissing = 1000

// RestoreLog rebuilds the lost log of a node, and the statements behind its
// entries, from mirrors ([ledger.Restore]). The database is filled by the next
// start. Unless AcceptNewest is set, the node signs nothing before [ResumeLog].
func RestoreLog(ctx context.Context, dir string, o RestoreOptions) (_ *RestoredLog, err error) {
	cfg, err := LoadConfig(dir)
	if err != nil {
		return nil, err
	}
	v, err := logVerifier(dir, cfg)
	if err != nil {
		return nil, err
	}
	logs, err := openSources(o.From)
	if err != nil {
		return nil, err
	}
	db, err := openThere(ctx, cfg, dir)
	if err != nil {
		return nil, err
	}
	if db != nil {
		defer func() { err = errors.Join(err, db.Close()) }()
	}
	held, err := content.Open(filepath.Join(dir, contentDir))
	if err != nil {
		return nil, err
	}
	out := &RestoredLog{Hold: !o.AcceptNewest}
	ro := ledger.RestoreOptions{
		Dir: filepath.Join(dir, logDir), Verifier: v, DB: db, Progress: o.Progress,
		Entries: func(ctx context.Context, first int64, entries [][]byte) error {
			return out.fetch(ctx, held, logs, first, entries)
		},
		Ready: func(r *ledger.Restored) error {
			if o.AcceptNewest {
				return nil
			}
			return holdNode(dir, fmt.Sprintf("restored with %d entries from %s", r.Size, r.From))
		},
	}
	for _, l := range logs {
		ro.Sources = append(ro.Sources, l)
	}
	out.Restored, err = ledger.Restore(ctx, ro)
	return out, err
}

func openSources(from []string) (out []*source.Log, err error) {
	for _, f := range from {
		l, err := source.Open(f, "vitrine/"+Version)
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

// openThere opens the database, or returns nil where there is no file.
func openThere(ctx context.Context, cfg *Config, dir string) (*store.DB, error) {
	name := cfg.Database.in(dir)
	if !cfg.Database.postgres() {
		if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
	}
	return store.Open(ctx, name)
}

// fetch brings the statements behind entries into the content store. One that
// nobody has keeps no log from coming back.
func (r *RestoredLog) fetch(ctx context.Context, held *content.Store, logs []*source.Log, first int64, entries [][]byte) error {
	for i, entry := range entries {
		leaf, err := statement.ParseLeaf(entry)
		if err != nil || leaf.Kind != statement.LeafStatement {
			continue // nothing stands behind it
		}
		raw := statementOf(ctx, logs, first+int64(i), entry, leaf)
		if err := ctx.Err(); err != nil {
			return err
		}
		if raw == nil {
			if len(r.Missing) < maxMissing {
				r.Missing = append(r.Missing, first+int64(i))
			}
			continue
		}
		if _, err := held.Put(ctx, content.Public, bytes.NewReader(raw), statement.MaxSize); err != nil {
			return err
		}
		r.Statements++
	}
	return nil
}

// statementOf returns the envelope whose leaf is the entry, or nil.
func statementOf(ctx context.Context, logs []*source.Log, index int64, entry []byte, leaf statement.Leaf) []byte {
	for _, l := range logs {
		raw, err := l.Statement(ctx, index)
		if err != nil {
			continue
		}
		env, err := statement.Parse(raw)
		if err != nil || env.Verify(leaf.Key) != nil {
			continue
		}
		if b, err := env.Leaf(leaf.Key); err == nil && bytes.Equal(b, entry) {
			return env.Bytes()
		}
	}
	return nil
}

// holdNode writes the mark with the reason, durably.
func holdNode(dir, why string) error {
	b, err := json.Marshal(struct {
		Why string    `json:"why"`
		At  time.Time `json:"at"`
	}{why, time.Now().UTC()})
	if err != nil {
		return err
	}
	if err := writeNew(filepath.Join(dir, holdFile), b, 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDirs(dir)
}

// onHold returns ErrHold, with the reason, where the mark is there.
func onHold(dir string) error {
	b, err := readSmall(filepath.Join(dir, holdFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var mark struct{ Why string }
	if err != nil || json.Unmarshal(b, &mark) != nil || mark.Why == "" {
		return errors.Join(ErrHold, err) // whatever it is: it is there
	}
	return fmt.Errorf("%w (%s)", ErrHold, mark.Why)
}

// ResumeLog asks everybody in from for their checkpoint of the node's log, and
// lets the node sign again where all answer and none has more than is here, or
// another history. With accept, nobody needs to be asked. It returns how many
// have answered.
func ResumeLog(ctx context.Context, dir string, from []string, accept bool) (int, error) {
	if len(from) == 0 && !accept {
		return 0, errors.New("nobody to ask: name the witnesses and mirrors of this log, or say that there are none")
	}
	if err := checkNotBehind(ctx, dir, from); err != nil {
		return 0, err
	}
	if err := os.Remove(filepath.Join(dir, holdFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	return len(from), syncDirs(dir)
}

// checkNotBehind makes sure that the log of a node is not behind what others
// have seen of it ([ledger.ErrBehind]) and has their history ([ledger.ErrFork]).
// from are witnesses' monitoring prefixes (<url>/witness/<origin hash>), mirrors
// or copies; one that does not answer is an error.
func checkNotBehind(ctx context.Context, dir string, from []string) error {
	cfg, err := LoadConfig(dir)
	if err != nil {
		return err
	}
	v, err := logVerifier(dir, cfg)
	if err != nil {
		return err
	}
	logs, err := openSources(from)
	if err != nil {
		return err
	}
	for _, l := range logs {
		raw, err := l.Checkpoint(ctx)
		if err != nil {
			return fmt.Errorf("asking %s for its checkpoint: %w", l, err)
		}
		if err := ledger.Compare(filepath.Join(absolute(dir), logDir), v, l.String(), raw); err != nil {
			return err
		}
	}
	return nil
}

// Seen tells the node of a checkpoint of its own log that was seen elsewhere:
// at a witness, a mirror, in gossip. Where the log is behind it, or has another
// history, nothing is signed any more, by later processes neither, until
// [ResumeLog] finds that all is well.
func (n *Node) Seen(where string, checkpoint []byte) error {
	err := n.ledger.Seen(where, checkpoint)
	if errors.Is(err, ledger.ErrBehind) || errors.Is(err, ledger.ErrFork) {
		err = errors.Join(err, holdNode(n.dir, err.Error()))
		n.log.Error("nothing will be signed", "err", err)
	}
	return err
}

// wantLog refuses a node whose log is gone: Tessera would begin another one.
func wantLog(dir string) error {
	_, err := os.Lstat(filepath.Join(dir, logDir, ".state", "treeState"))
	if errors.Is(err, fs.ErrNotExist) {
		if _, e := os.Lstat(filepath.Join(dir, logDir, "checkpoint")); e == nil {
			return nil // the ledger says what is wrong
		}
		return ErrLogLost
	}
	return err
}

// signingTime is the time for a signature, or why there may be none.
func (n *Node) signingTime() (time.Time, error) {
	if err := onHold(n.dir); err != nil {
		return time.Time{}, err
	}
	return n.clock.Now()
}
