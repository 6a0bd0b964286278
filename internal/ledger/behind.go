package ledger

import (
	"errors"
	"fmt"
	"path/filepath"
)

// Compare makes sure that the log in dir is not behind a checkpoint that was
// seen somewhere, and belongs to the same history. The checkpoint is unverified
// before; one that the log's key did not sign says nothing, and is an error of
// another kind. [ErrBehind] names where the newer one was seen, [ErrFork] where
// the other history was.
//
// What counts is the tree that is on the disk, published or not: a checkpoint
// may have reached a witness before a crash kept it from its own directory, and
// is then made again.
func Compare(dir string, v Verifier, where string, checkpoint []byte) error {
	if err := compareSeen(files{dir}, v, where, checkpoint); err != nil {
		return fmt.Errorf("comparing the log %s: %w", dir, err)
	}
	return nil
}

func compareSeen(f files, v Verifier, where string, checkpoint []byte) error {
	seen, err := parsePublished(checkpoint, v)
	if err != nil {
		return fmt.Errorf("checkpoint of %s: %w", where, err)
	}
	ts, ok, err := f.treeState()
	if err != nil {
		return err
	}
	if !ok || seen.size > ts.Size {
		return fmt.Errorf("%w: %s has a checkpoint of %d entries, and %d are here: move %s away, then vitrine log restore --from URL %s",
			ErrBehind, where, seen.size, ts.Size, f.dir, filepath.Dir(f.dir))
	}
	root, err := newTree(f, ts.Size, nil).root(seen.size)
	if err != nil {
		return err
	}
	if root != seen.root {
		return fmt.Errorf("%w: at %d entries %s has a checkpoint with the root %v, and the root here is %v: sign nothing, keep both, and find out who else holds this log's key",
			ErrFork, seen.size, where, seen.root, root)
	}
	return nil
}

// Seen tells the log of a checkpoint of its own that was seen elsewhere. Where
// the log is behind it, or has another history, nothing is signed any more
// until the process ends, and the reason is returned, and shown by Status.
// The caller has to see to it that the next process does not begin anew.
func (l *Ledger) Seen(where string, checkpoint []byte) error {
	err := compareSeen(l.files, l.verifier, where, checkpoint)
	if isContradiction(err) {
		l.signer.forbid(err)
	}
	return err
}

// isContradiction reports what must end all signing.
func isContradiction(err error) bool {
	return errors.Is(err, ErrBehind) || errors.Is(err, ErrFork)
}
