// Package strictjson reads JSON in exactly one way and writes it in exactly one way.
//
// [Unmarshal] refuses what lenient readers let pass: duplicate and unknown
// names, names in another case, null where a value is due, invalid UTF-8,
// trailing bytes, and anything larger or deeper than its caller allows.
// [Canonical] writes RFC 8785 (JSON Canonicalization Scheme), and
// [UnmarshalCanonical] accepts nothing else. [Base64] reads RFC 4648 section 4
// with padding and zero trailing bits only.
//
// It trusts nothing and keeps nothing; errors are of type [*Error] and name the
// place as line, column and JSON pointer.
//
// Struct tags: write `omitzero`, not `omitempty`. These are the rules of JSON
// version 2, where `omitempty` keeps a zero number.
package strictjson

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Defaults of [Limits].
const (
	DefaultSize  = 1 << 20 // bytes
	DefaultDepth = 32      // nested objects and arrays
)

// maxDepth is as deep as the parser below can go without trusting its own bound.
const maxDepth = 1000

// Limits bounds what a reader accepts. A zero field means the package default.
type Limits struct {
	Size  int // bytes; default 1 MiB
	Depth int // nested objects and arrays; default 32, never more than 1000
}

func (l Limits) orDefault() Limits {
	if l.Size <= 0 {
		l.Size = DefaultSize
	}
	if l.Depth <= 0 {
		l.Depth = DefaultDepth
	}
	l.Depth = min(l.Depth, maxDepth)
	return l
}

// Unmarshal reads exactly one JSON value from data into the value that v points
// to, strictly. That value is made zero first, so that what it becomes depends
// on data alone; it is not to be used where reading fails. Numbers that v keeps
// raw are not examined.
func Unmarshal(data []byte, v any, lim Limits) error {
	null, err := check(data, lim.orDefault(), false)
	if err != nil {
		return err
	}
	if null {
		return decode(data, v, nullOptions)
	}
	return decode(data, v, options)
}

// UnmarshalCanonical is [Unmarshal] for data that must also be byte for byte
// what [Canonicalize] gives.
func UnmarshalCanonical(data []byte, v any, lim Limits) error {
	if err := Unmarshal(data, v, lim); err != nil {
		return err
	}
	want, err := Canonicalize(data, lim)
	if err != nil {
		return err
	}
	return Same(data, want)
}

// Same reports as an [*Error] the first place where data differs from want,
// which is the canonical form of what data says.
func Same(data, want []byte) error {
	if bytes.Equal(data, want) {
		return nil
	}
	n := 0
	for n < len(data) && n < len(want) && data[n] == want[n] {
		n++
	}
	return newError(data, n, pointerAt(data, n), errNotCanonical)
}

var errNotCanonical = errors.New("not in canonical form (RFC 8785)")

// Canonical encodes v as RFC 8785 canonical JSON, without a final newline. It
// refuses invalid UTF-8, and numbers that RFC 8785 cannot carry unchanged.
func Canonical(v any) ([]byte, error) {
	// Depth and size are those of a value that the program itself made.
	b, err := json.Marshal(v, json.DefaultOptionsV2())
	if err != nil {
		return nil, fmt.Errorf("encoding JSON: %w", err)
	}
	return canonicalize(b, Limits{Size: len(b), Depth: maxDepth})
}

// Canonicalize rewrites one JSON value in the form of RFC 8785. Numbers that
// would become another number on the way are refused: integers beyond ±(2⁵³-1),
// and what is beyond the range of a double.
func Canonicalize(data []byte, lim Limits) ([]byte, error) {
	return canonicalize(bytes.Clone(data), lim.orDefault())
}

// canonicalize works in place.
func canonicalize(data []byte, lim Limits) ([]byte, error) {
	if _, err := check(data, lim, true); err != nil {
		return nil, err
	}
	v := jsontext.Value(data)
	if err := v.Canonicalize(); err != nil {
		return nil, explain(data, err)
	}
	return v, nil
}

// strictBase64 refuses non-zero trailing bits; line breaks, which
// encoding/base64 always skips, are refused by Base64 itself.
var strictBase64 = base64.StdEncoding.Strict()

// Base64 decodes standard base64 (RFC 4648, section 4), canonical form only:
// with padding, zero trailing bits, and nothing between the characters.
func Base64(s string) ([]byte, error) { return DecodeBase64([]byte(s)) }

// DecodeBase64 is [Base64] for a text in a slice, which it does not keep.
func DecodeBase64(s []byte) ([]byte, error) {
	b := make([]byte, base64.StdEncoding.DecodedLen(len(s)))
	n, err := strictBase64.Decode(b, s)
	if err != nil {
		return nil, fmt.Errorf("base64: %w", err)
	}
	if base64.StdEncoding.EncodedLen(n) != len(s) {
		return nil, errors.New("base64: line breaks inside")
	}
	return b[:n], nil
}
