package tlog

import (
	"bytes"
	"fmt"
	"strings"
)

// forkHeader is the first line of fork evidence.
const forkHeader = "vitrine.example/fork@v1"

// ParseFork reads fork evidence, strictly. What it returns passes [Fork.Check],
// but nobody has looked at the signatures: see [Fork.Verify].
func ParseFork(b []byte) (*Fork, error) {
	r := &reader{what: "fork evidence", rest: b}
	if len(b) > MaxFork {
		return nil, refuse(r.what, 0, "%d bytes, want at most %d", len(b), MaxFork)
	}
	line, err := r.next("the header")
	if err != nil {
		return nil, err
	}
	if line != forkHeader {
		return nil, r.refuse("%.40q, want %q", line, forkHeader)
	}
	f := &Fork{}
	if err := f.parseShown(r); err != nil {
		return nil, err
	}
	if f.A, err = parseFirst(r); err != nil {
		return nil, err
	}
	if f.B, err = ParseCheckpoint(r.rest); err != nil {
		return nil, moved(err, r.what, r.line)
	}
	if err := f.check(); err != nil {
		return nil, refuse(r.what, 0, "%w", err)
	}
	return f, nil
}

// parseShown reads the kind and what shows the contradiction, and the empty line.
func (f *Fork) parseShown(r *reader) error {
	kind, err := keyword(r, "kind")
	if err != nil {
		return err
	}
	switch f.Kind = ForkKind(kind); f.Kind {
	case ForkSize:
		_, err = parseHashes(r, "", 0)
	case ForkGrowth:
		f.Path, err = parseHashes(r, "", MaxPath+1)
	case ForkEntry:
		err = f.parseEntry(r)
	default:
		return r.refuse("kind %.40q, want size, growth or entry", kind)
	}
	return err
}

func (f *Fork) parseEntry(r *reader) error {
	index, err := keyword(r, "index")
	if err != nil {
		return err
	}
	if f.Index, err = parseDecimal(index); err != nil {
		return r.refuse("index: %w", err)
	}
	leaf, err := keyword(r, "leaf")
	if err != nil {
		return err
	}
	if f.LeafA, err = parseHash(leaf); err != nil {
		return r.refuse("leaf: %w", err)
	}
	if f.PathA, err = parseHashes(r, "leaf ", MaxPath); err != nil {
		return err
	}
	leaf, err = keyword(r, "leaf")
	if err != nil {
		return err
	}
	if f.LeafB, err = parseHash(leaf); err != nil {
		return r.refuse("leaf: %w", err)
	}
	f.PathB, err = parseHashes(r, "", MaxPath)
	return err
}

// keyword reads "<word> <value>" and returns the value.
func keyword(r *reader, word string) (string, error) {
	line, err := r.next("a line that begins with " + word)
	if err != nil {
		return "", err
	}
	v, ok := strings.CutPrefix(line, word+" ")
	if !ok {
		return "", r.refuse("%.40q, want a line that begins with %q", line, word+" ")
	}
	return v, nil
}

// parseHashes reads at most limit hashes, up to and with the empty line, or up
// to a line that begins with until, which is left where it is.
func parseHashes(r *reader, until string, limit int) ([]Hash, error) {
	var path []Hash
	for {
		if until != "" && bytes.HasPrefix(r.rest, []byte(until)) {
			return path, nil
		}
		line, err := r.next("a hash or an empty line")
		if err != nil {
			return nil, err
		}
		if line == "" && until == "" {
			return path, nil
		}
		if len(path) == limit {
			return nil, r.refuse("more than %d hashes", limit)
		}
		h, err := parseHash(line)
		if err != nil {
			return nil, r.refuse("hash: %w", err)
		}
		path = append(path, h)
	}
}

// parseFirst reads a checkpoint and the empty line after it. Neither the text of
// a checkpoint nor its signature lines hold an empty line.
func parseFirst(r *reader) (*SignedCheckpoint, error) {
	text, rest, ok := bytes.Cut(r.rest, []byte("\n\n"))
	if !ok {
		return nil, r.refuse("after this line: no checkpoint")
	}
	sigs, rest, ok := bytes.Cut(rest, []byte("\n\n"))
	if !ok {
		return nil, r.refuse("after this line: no second checkpoint")
	}
	note := r.rest[:len(text)+2+len(sigs)+1]
	c, err := ParseCheckpoint(note)
	if err != nil {
		return nil, moved(err, r.what, r.line)
	}
	r.line += bytes.Count(note, []byte("\n")) + 1
	r.rest = rest
	return c, nil
}

// Marshal returns what [ParseFork] reads.
func (f *Fork) Marshal() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\nkind %s\n", forkHeader, f.Kind)
	hashes := func(path []Hash) {
		for _, h := range path {
			b.WriteString(encodeBase64(h[:]) + "\n")
		}
	}
	switch f.Kind {
	case ForkGrowth:
		hashes(f.Path)
	case ForkEntry:
		fmt.Fprintf(&b, "index %d\nleaf %s\n", f.Index, encodeBase64(f.LeafA[:]))
		hashes(f.PathA)
		fmt.Fprintf(&b, "leaf %s\n", encodeBase64(f.LeafB[:]))
		hashes(f.PathB)
	}
	b.WriteByte('\n')
	b.Write(f.A.Marshal())
	b.WriteByte('\n')
	b.Write(f.B.Marshal())
	return b.Bytes()
}
