package mirror

import (
	"crypto/hmac"
	"crypto/sha256"

	"vitrine.example/tlog"
)

// maxTicket bounds a ticket: its length is a uint16 in the next request.
const maxTicket = 1<<16 - 1

// ticket holds a pending checkpoint for when it is no longer kept. "The mirror
// MUST authenticate any information it derives from a ticket": that the log has
// signed it is not enough, as the log may have signed another history too.
func (c *logCopy) ticket(cp *tlog.SignedCheckpoint) []byte {
	b := cp.Marshal()
	if len(b)+sha256.Size > maxTicket {
		return nil
	}
	return append(c.mac(b), b...)
}

func (c *logCopy) mac(checkpoint []byte) []byte {
	h := hmac.New(sha256.New, c.m.secret)
	h.Write([]byte("vitrine mirror ticket\n"))
	h.Write(c.hash[:])
	h.Write(checkpoint)
	return h.Sum(nil)
}

// fromTicket returns the checkpoint of a ticket of ours, or nil.
func (c *logCopy) fromTicket(b []byte) *tlog.SignedCheckpoint {
	if len(b) <= sha256.Size || !hmac.Equal(c.mac(b[sha256.Size:]), b[:sha256.Size]) {
		return nil
	}
	cp, err := tlog.ParseCheckpoint(b[sha256.Size:])
	if err != nil || cp.Origin != c.origin {
		return nil
	}
	return cp
}
