package tlog

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Checkpoint is the note text of a tlog-checkpoint.
type Checkpoint struct {
	Origin     string
	Size       int64
	Root       Hash
	Extensions []string // opaque lines; what vitrine writes has none
}

// Text returns the note text, with its final newline.
func (c Checkpoint) Text() []byte {
	var b bytes.Buffer
	b.WriteString(c.Origin)
	b.WriteByte('\n')
	b.WriteString(strconv.FormatInt(c.Size, 10))
	b.WriteByte('\n')
	b.WriteString(encodeBase64(c.Root[:]))
	b.WriteByte('\n')
	for _, e := range c.Extensions {
		b.WriteString(e)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// Validate checks what [ParseCheckpoint] checks, for a checkpoint made in
// memory: a text that has a second reading is never signed and never verified.
func (c Checkpoint) Validate() error {
	d, err := parseCheckpointText(c.Text())
	if err != nil {
		return err
	}
	if d.Origin != c.Origin || len(d.Extensions) != len(c.Extensions) {
		return errors.New("checkpoint: newline in the origin or in an extension line")
	}
	return nil
}

// checkRoot refuses an empty tree with the root of another (RFC 6962 section
// 2.1). The parser lets it pass, as tlog-witness wants its own answer for it.
func (c Checkpoint) checkRoot() error {
	if c.Size == 0 && c.Root != EmptyRoot() {
		return errors.New("checkpoint of size 0: the root hash is not that of the empty tree")
	}
	return nil
}

// SignedCheckpoint is a checkpoint with its signature lines in the order
// written. Unauthenticated: do not trust before a [Verifier] or [Policy] has
// accepted it.
type SignedCheckpoint struct {
	Checkpoint
	Signatures []Signature
}

// ParseCheckpoint reads a signed checkpoint, strictly: a signed note with one
// to [MaxSignatures] signatures whose text is as tlog-checkpoint, section "Note
// text" says. A size above [MaxSize] is refused; a size of 0 with the root of
// another tree is not, see [Policy.Check].
func ParseCheckpoint(b []byte) (*SignedCheckpoint, error) {
	n, err := parseNote("checkpoint", b)
	if err != nil {
		return nil, err
	}
	c, err := parseCheckpointText(n.Text)
	if err != nil {
		return nil, err
	}
	return &SignedCheckpoint{Checkpoint: c, Signatures: n.Signatures}, nil
}

// Marshal returns the signed note.
func (s *SignedCheckpoint) Marshal() []byte { return marshalNote(s.Text(), s.Signatures) }

// parseCheckpointText reads the text of a checkpoint: origin, tree size, root
// hash, extension lines; none empty, each ending in a newline.
func parseCheckpointText(text []byte) (Checkpoint, error) {
	var c Checkpoint
	if len(text) > MaxCheckpoint {
		return c, refuse("checkpoint", 0, "%d bytes, want at most %d", len(text), MaxCheckpoint)
	}
	if err := checkNoteText("checkpoint", text); err != nil {
		return c, err
	}
	r := &reader{what: "checkpoint", rest: text}
	var err error
	if c.Origin, err = r.next("the origin"); err != nil {
		return c, err
	}
	if c.Origin == "" {
		return c, r.refuse("empty origin")
	}
	line, err := r.next("the tree size")
	if err != nil {
		return c, err
	}
	if c.Size, err = parseDecimal(line); err != nil {
		return c, r.refuse("tree size: %w", err)
	}
	if c.Size > MaxSize {
		return c, r.refuse("tree size %d is above 2^62", c.Size)
	}
	if line, err = r.next("the root hash"); err != nil {
		return c, err
	}
	if c.Root, err = parseHash(line); err != nil {
		return c, r.refuse("root hash: %w", err)
	}
	for len(r.rest) > 0 {
		if line, err = r.next("an extension line"); err != nil {
			return c, err
		}
		if line == "" {
			return c, r.refuse("empty extension line")
		}
		if len(c.Extensions) == MaxExtensions {
			return c, r.refuse("more than %d extension lines", MaxExtensions)
		}
		c.Extensions = append(c.Extensions, line)
	}
	return c, nil
}

// String returns origin and size, for messages.
func (c Checkpoint) String() string {
	return fmt.Sprintf("%s at size %d", strings.ToValidUTF8(c.Origin, "?"), c.Size)
}
