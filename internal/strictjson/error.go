package strictjson

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Error says what is wrong with JSON and where.
type Error struct {
	Line    int    // from 1; 0 where the input was not read
	Column  int    // from 1, in characters
	Pointer string // RFC 6901; empty for the whole value
	Err     error
}

// maxShown bounds, in bytes, how much of hostile input an error repeats.
const maxShown = 200

// Error returns "line 3, column 7, at /subject/0: …".
func (e *Error) Error() string {
	var b strings.Builder
	if e.Line > 0 {
		fmt.Fprintf(&b, "line %d, column %d", e.Line, e.Column)
		if e.Pointer != "" {
			b.WriteString(", at " + printable(e.Pointer))
		}
		b.WriteString(": ")
	}
	b.WriteString(printable(e.Err.Error()))
	return b.String()
}

// Unwrap returns what is wrong, without the place.
func (e *Error) Unwrap() error { return e.Err }

// printable shortens s and replaces what a terminal would act on.
func printable(s string) string {
	if len(s) > maxShown {
		cut := maxShown
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		s = s[:cut] + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

func newError(data []byte, offset int, pointer string, err error) *Error {
	e := &Error{Pointer: pointer, Err: err}
	if data != nil {
		offset = min(max(offset, 0), len(data))
		before := data[:offset]
		e.Line = bytes.Count(before, []byte("\n")) + 1
		e.Column = utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	}
	return e
}

// explain turns an error of the JSON library into an [*Error].
func explain(data []byte, err error) error {
	var syn *jsontext.SyntacticError
	var sem *json.SemanticError
	switch {
	case errors.As(err, &sem) && !errors.As(sem.Err, &syn):
		return newError(data, valueStart(data, int(sem.ByteOffset)), string(sem.JSONPointer), meaning(sem))
	case errors.As(err, &syn):
		return newError(data, int(syn.ByteOffset), string(syn.JSONPointer), grammar(data, syn))
	}
	return &Error{Err: err}
}

func grammar(data []byte, e *jsontext.SyntacticError) error {
	name := e.JSONPointer.LastToken()
	switch {
	case errors.Is(e.Err, jsontext.ErrDuplicateName):
		return fmt.Errorf("name %s twice in one object", quote(name))
	case errors.Is(e.Err, io.ErrUnexpectedEOF) && len(bytes.TrimSpace(data)) == 0:
		return errors.New("empty, want a JSON value")
	case errors.Is(e.Err, io.ErrUnexpectedEOF):
		return errors.New("ends in the middle of a value")
	}
	return e.Err
}

func meaning(e *json.SemanticError) error {
	if errors.Is(e.Err, json.ErrUnknownName) {
		return fmt.Errorf("unknown name %s", quote(e.JSONPointer.LastToken()))
	}
	switch {
	case e.JSONKind == '0' && errors.Is(e.Err, strconv.ErrSyntax):
		return fmt.Errorf("number %s where %s is due", e.JSONValue, typeWord(e.GoType))
	case e.JSONKind == '0' && errors.Is(e.Err, strconv.ErrRange):
		return fmt.Errorf("number %s is out of the range of %s", e.JSONValue, e.GoType)
	case e.Err != nil:
		return e.Err
	}
	return fmt.Errorf("%s where %s is due", kindWord(e.JSONKind), typeWord(e.GoType))
}

// quote quotes s, shortened.
func quote(s string) string {
	if len(s) > maxShown/2 {
		return fmt.Sprintf("%.*q…", maxShown/2, s)
	}
	return fmt.Sprintf("%q", s)
}

// valueStart moves offset past white space and separators to the next value.
func valueStart(data []byte, offset int) int {
	for offset < len(data) && bytes.IndexByte([]byte(" \t\r\n,:"), data[offset]) >= 0 {
		offset++
	}
	return offset
}

func kindWord(k jsontext.Kind) string {
	switch k {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '{':
		return "an object"
	case '[':
		return "an array"
	}
	return "another value"
}

func typeWord(t reflect.Type) string {
	if t == nil {
		return "another kind of value"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "a boolean"
	case reflect.String:
		return "a string"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "an integer"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Pointer:
		return typeWord(t.Elem())
	}
	return "another kind of value"
}

// pointerAt returns the JSON pointer of the value at or around offset, as far
// as data is well formed.
func pointerAt(data []byte, offset int) string {
	dec := jsontext.NewDecoder(bytes.NewReader(data))
	p := ""
	for {
		if _, err := dec.ReadToken(); err != nil {
			return p
		}
		p = string(dec.StackPointer())
		if dec.InputOffset() > int64(offset) {
			return p
		}
	}
}
