package tlog

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
)

// MaxRequest is the most bytes of the body of a request to a witness.
const MaxRequest = MaxCheckpoint + 4<<10

// AddCheckpoint is the body of a request to cosign a checkpoint (tlog-witness,
// section "add-checkpoint"). Unauthenticated. That Old is not above the size of
// the checkpoint is for a witness to check: it has an answer of its own for it.
type AddCheckpoint struct {
	Old        int64  // size of the tree that the witness cosigned last
	Proof      []Hash // at most MaxPath
	Checkpoint *SignedCheckpoint
}

// ParseAddCheckpoint reads a request, strictly.
func ParseAddCheckpoint(b []byte) (*AddCheckpoint, error) {
	r, err := readRequest("add-checkpoint request", b)
	if err != nil {
		return nil, err
	}
	line, err := r.next("the old size")
	if err != nil {
		return nil, err
	}
	size, ok := strings.CutPrefix(line, "old ")
	if !ok {
		return nil, r.refuse("want a line of the form: old <size>")
	}
	q := &AddCheckpoint{}
	if q.Old, err = parseDecimal(size); err != nil {
		return nil, r.refuse("old size: %w", err)
	}
	q.Proof, q.Checkpoint, err = parseRequestRest(r)
	return q, err
}

// Marshal returns the body of the request.
func (q *AddCheckpoint) Marshal() []byte {
	b := fmt.Appendf(nil, "old %d\n", q.Old)
	return appendRequestRest(b, q.Proof, q.Checkpoint)
}

// SignSubtree is the body of a request to cosign a subtree (tlog-witness,
// section "sign-subtree"). Unauthenticated.
type SignSubtree struct {
	Subtree    Subtree
	Proof      []Hash            // at most MaxPath
	Checkpoint *SignedCheckpoint // cosigned by the witness
}

// ParseSignSubtree reads a request, strictly. What it returns is a subtree
// within the size of the checkpoint.
func ParseSignSubtree(b []byte) (*SignSubtree, error) {
	r, err := readRequest("sign-subtree request", b)
	if err != nil {
		return nil, err
	}
	q := &SignSubtree{}
	if q.Subtree, err = parseSubtreeLines(r); err != nil {
		return nil, err
	}
	if q.Proof, q.Checkpoint, err = parseRequestRest(r); err != nil {
		return nil, err
	}
	if q.Subtree.End > q.Checkpoint.Size {
		return nil, refuse(r.what, 1, "the subtree ends at %d, after the tree of %d", q.Subtree.End, q.Checkpoint.Size)
	}
	return q, nil
}

func parseSubtreeLines(r *reader) (s Subtree, err error) {
	line, err := r.next("the range of the subtree")
	if err != nil {
		return s, err
	}
	f := strings.Split(line, " ")
	if len(f) != 3 || f[0] != "subtree" {
		return s, r.refuse("want a line of the form: subtree <start> <end>")
	}
	if s.Start, err = parseDecimal(f[1]); err != nil {
		return s, r.refuse("start: %w", err)
	}
	if s.End, err = parseDecimal(f[2]); err != nil {
		return s, r.refuse("end: %w", err)
	}
	if err := s.Validate(); err != nil {
		return s, r.refuse("%w", err)
	}
	if line, err = r.next("the hash of the subtree"); err != nil {
		return s, err
	}
	if s.Hash, err = parseHash(line); err != nil {
		return s, r.refuse("hash of the subtree: %w", err)
	}
	return s, nil
}

// Marshal returns the body of the request.
func (q *SignSubtree) Marshal() []byte {
	b := fmt.Appendf(nil, "subtree %d %d\n", q.Subtree.Start, q.Subtree.End)
	b = append(append(b, encodeBase64(q.Subtree.Hash[:])...), '\n')
	return appendRequestRest(b, q.Proof, q.Checkpoint)
}

func readRequest(what string, b []byte) (*reader, error) {
	if len(b) > MaxRequest {
		return nil, refuse(what, 0, "%d bytes, want at most %d", len(b), MaxRequest)
	}
	return &reader{what: what, rest: b}, nil
}

// parseRequestRest reads the lines of a proof, an empty line and a checkpoint.
func parseRequestRest(r *reader) ([]Hash, *SignedCheckpoint, error) {
	var proof []Hash
	for {
		line, err := r.next("a line of the proof, or an empty line")
		if err != nil {
			return nil, nil, err
		}
		if line == "" {
			break
		}
		if len(proof) == MaxPath {
			return nil, nil, r.refuse("more than %d lines of proof", MaxPath)
		}
		h, err := parseHash(line)
		if err != nil {
			return nil, nil, r.refuse("proof: %w", err)
		}
		proof = append(proof, h)
	}
	c, err := ParseCheckpoint(r.rest)
	if err != nil {
		return nil, nil, moved(err, r.what, r.line)
	}
	return proof, c, nil
}

func appendRequestRest(b []byte, proof []Hash, c *SignedCheckpoint) []byte {
	for _, h := range proof {
		b = append(append(b, encodeBase64(h[:])...), '\n')
	}
	b = append(b, '\n')
	return append(b, c.Marshal()...)
}

// ParseSize reads the body of a witness's answer 409: the size of the tree that
// it cosigned last, and a newline. Content-Type is [SizeType].
func ParseSize(b []byte) (int64, error) {
	line, ok := bytes.CutSuffix(b, []byte("\n"))
	if !ok || len(b) > 32 {
		return 0, refuse("size", 0, "want a decimal number and a newline")
	}
	n, err := parseDecimal(string(line))
	if err != nil {
		return 0, refuse("size", 1, "%w", err)
	}
	return n, nil
}

// FormatSize is what [ParseSize] reads.
func FormatSize(n int64) []byte { return append(strconv.AppendInt(nil, n, 10), '\n') }

// SizeType is the media type of a witness's answer that holds a size alone.
const SizeType = "text/x.tlog.size"
