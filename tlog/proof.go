package tlog

import (
	"bytes"
	"strconv"
	"strings"
)

// proofHeader is the first line of a tlog-proof.
const proofHeader = "c2sp.org/tlog-proof@v1"

// Proof is a tlog-proof: an entry's place in a checkpointed tree.
// Unauthenticated: do not trust before VerifyInclusion and a [Policy].
type Proof struct {
	Extra      []byte // nil where the line is absent; nothing vouches for it, ever
	Index      int64
	Path       []Hash // from the leaf's sibling to the root's child
	Checkpoint *SignedCheckpoint
}

// ParseProof reads a tlog-proof, strictly. It does not relate index, path and
// size to each other; [Proof.VerifyInclusion] does.
func ParseProof(b []byte) (*Proof, error) {
	r := &reader{what: "proof", rest: b}
	if len(b) > MaxProof {
		return nil, refuse(r.what, 0, "%d bytes, want at most %d", len(b), MaxProof)
	}
	p := &Proof{}
	line, err := r.next("the header")
	if err != nil {
		return nil, err
	}
	if line != proofHeader {
		return nil, r.refuse("%.40q, want %q", line, proofHeader)
	}
	if line, err = r.next("the index"); err != nil {
		return nil, err
	}
	if extra, ok := strings.CutPrefix(line, "extra "); ok {
		if p.Extra, err = parseExtra(r, extra); err != nil {
			return nil, err
		}
		if line, err = r.next("the index"); err != nil {
			return nil, err
		}
	}
	index, ok := strings.CutPrefix(line, "index ")
	if !ok {
		return nil, r.refuse("%.40q, want a line that begins with %q", line, "index ")
	}
	if p.Index, err = parseDecimal(index); err != nil {
		return nil, r.refuse("index: %w", err)
	}
	if p.Path, err = parsePath(r); err != nil {
		return nil, err
	}
	if p.Checkpoint, err = ParseCheckpoint(r.rest); err != nil {
		return nil, moved(err, r.what, r.line)
	}
	return p, nil
}

// parseExtra obeys "If no extra data is present, this line is omitted".
func parseExtra(r *reader, s string) ([]byte, error) {
	extra, err := decodeBase64(s)
	if err != nil {
		return nil, r.refuse("extra: %w", err)
	}
	if len(extra) == 0 {
		return nil, r.refuse("extra line without data")
	}
	if len(extra) > MaxExtra {
		return nil, r.refuse("extra: %d bytes, want at most %d", len(extra), MaxExtra)
	}
	return extra, nil
}

// parsePath reads hashes up to and with the empty line.
func parsePath(r *reader) ([]Hash, error) {
	var path []Hash
	for {
		line, err := r.next("a hash or an empty line")
		if err != nil {
			return nil, err
		}
		if line == "" {
			return path, nil
		}
		if len(path) == MaxPath {
			return nil, r.refuse("more than %d hashes", MaxPath)
		}
		h, err := parseHash(line)
		if err != nil {
			return nil, r.refuse("hash: %w", err)
		}
		path = append(path, h)
	}
}

// Marshal returns the proof's text. An Extra of no bytes is no extra.
func (p *Proof) Marshal() []byte {
	var b bytes.Buffer
	b.WriteString(proofHeader + "\n")
	if len(p.Extra) > 0 {
		b.WriteString("extra " + encodeBase64(p.Extra) + "\n")
	}
	b.WriteString("index " + strconv.FormatInt(p.Index, 10) + "\n")
	for _, h := range p.Path {
		b.WriteString(encodeBase64(h[:]) + "\n")
	}
	b.WriteByte('\n')
	b.Write(p.Checkpoint.Marshal())
	return b.Bytes()
}
