package ledger

import (
	"fmt"

	"golang.org/x/mod/sumdb/note"
)

// checkpointTemp is what a checkpoint that is signed again is called until it is
// whole. Tessera's own are called otherwise.
const checkpointTemp = "checkpoint.resigned"

// resign signs the newest checkpoint again where the key in use has not signed it:
// it was rotated. Tessera does so within a minute or with the next entry, and those
// who trust the new key alone would not confirm the old one's until then. A signer
// that refuses (the clock, a hold) leaves things as they are.
func (l *Ledger) resign(h *head) error {
	if h.checkpoint == nil || l.cosigner == nil {
		return nil
	}
	now, err := verifierOf(l.o.Signer)
	if err != nil {
		return err
	}
	if _, err := now.Verify(h.checkpoint.signed); err == nil {
		return nil
	}
	first, others := l.signer.all()
	raw, err := note.Sign(&note.Note{Text: string(h.checkpoint.signed.Text())}, append([]note.Signer{first}, others...)...)
	if err != nil {
		l.o.Log.Warn("the newest checkpoint is not signed with the key in use", "err", err)
		return nil
	}
	p, err := parsePublished(raw, l.verifier)
	if err == nil {
		err = l.files.replace(checkpointTemp, checkpointName, raw)
	}
	if err != nil {
		return fmt.Errorf("opening the log %s: signing its checkpoint with the key in use: %w", l.o.Dir, err)
	}
	h.checkpoint = p
	return nil
}
