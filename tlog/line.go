package tlog

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// A SyntaxError says which line of a text was refused, and why.
type SyntaxError struct {
	What string // what was read: "checkpoint", "proof", "policy", …
	Line int    // counted from 1; 0 where no line is to blame
	Err  error
}

// Error returns, for instance, `checkpoint line 2: tree size "07": leading zero`.
func (e *SyntaxError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %v", e.What, e.Err)
	}
	return fmt.Sprintf("%s line %d: %v", e.What, e.Line, e.Err)
}

// Unwrap returns the reason.
func (e *SyntaxError) Unwrap() error { return e.Err }

// refuse makes a SyntaxError.
func refuse(what string, line int, format string, args ...any) error {
	return &SyntaxError{What: what, Line: line, Err: fmt.Errorf(format, args...)}
}

// moved gives a SyntaxError the line it has in a longer text of another kind.
func moved(err error, what string, lines int) error {
	var s *SyntaxError
	if !errors.As(err, &s) {
		return err
	}
	m := &SyntaxError{What: what, Line: s.Line, Err: s.Err}
	if m.Line > 0 {
		m.Line += lines
	}
	return m
}

// A reader hands out the lines of a text, which all end in a newline.
type reader struct {
	what string
	rest []byte
	line int // number of the line last handed out
}

// next returns the next line without its newline. At the end of the text, or
// in a line without a newline, it returns an error that says what was wanted.
func (r *reader) next(want string) (string, error) {
	r.line++
	line, rest, ok := bytes.Cut(r.rest, []byte("\n"))
	switch {
	case ok:
		r.rest = rest
		return string(line), nil
	case len(r.rest) == 0:
		return "", r.refuse("the text ends here, want %s", want)
	default:
		return "", r.refuse("the line does not end in a newline")
	}
}

// refuse makes an error about the line last handed out.
func (r *reader) refuse(format string, args ...any) error {
	return refuse(r.what, r.line, format, args...)
}

// checkNoteText refuses what signed-note, section "Format" does: "Signed notes
// MUST be valid UTF-8 and MUST NOT contain any ASCII control characters (those
// below U+0020) other than newline."
func checkNoteText(what string, b []byte) error {
	line := 1
	for i := 0; i < len(b); {
		switch c := b[i]; {
		case c == '\n':
			line++
			i++
		case c < 0x20:
			return refuse(what, line, "control character %#02x", c)
		case c < utf8.RuneSelf:
			i++
		default:
			_, n := utf8.DecodeRune(b[i:])
			if n == 1 {
				return refuse(what, line, "byte %#02x is not valid UTF-8", c)
			}
			i += n
		}
	}
	return nil
}

// decodeBase64 reads the one canonical standard encoding (RFC 4648 section 4):
// padded, no line breaks, and the bits left over zero (section 3.5).
func decodeBase64(s string) ([]byte, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, fmt.Errorf("not canonical base64: %w", err)
	}
	if len(s) != base64.StdEncoding.EncodedLen(len(b)) { // the decoder skips CR and LF
		return nil, errors.New("not canonical base64: line break within")
	}
	return b, nil
}

func encodeBase64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// parseHash reads the base64 of 32 bytes.
func parseHash(s string) (Hash, error) {
	b, err := decodeBase64(s)
	if err != nil {
		return Hash{}, err
	}
	if len(b) != len(Hash{}) {
		return Hash{}, fmt.Errorf("%d bytes, want the %d of a SHA-256 hash", len(b), len(Hash{}))
	}
	return Hash(b), nil
}

// parseDecimal reads an ASCII decimal without sign and without leading zeros,
// at most 2^63-1.
func parseDecimal(s string) (int64, error) {
	if s == "" {
		return 0, errors.New("no digits, want a decimal number")
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%.40q is not a decimal number: %q is not a digit", s, c)
		}
	}
	if s[0] == '0' && len(s) > 1 {
		return 0, fmt.Errorf("%.40q has a leading zero", s)
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%.40q is above 2^63-1", s)
	}
	return n, nil
}
