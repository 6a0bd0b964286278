package strictjson

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// maxExact is the largest integer up to which every integer is a double of its own.
const maxExact = 1<<53 - 1

// check enforces the limits on data before any parser allocates for it, and,
// with numbers, that RFC 8785 can carry each number. It needs no well-formed
// JSON: what is malformed is refused by the parser after it. It reports whether
// a null may be in it: whether an n stands outside of strings.
func check(data []byte, lim Limits, numbers bool) (null bool, err error) {
	if len(data) > lim.Size {
		return false, newError(nil, 0, "", fmt.Errorf("%d bytes, at most %d are allowed", len(data), lim.Size))
	}
	depth := 0
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			i = stringEnd(data, i)
		case c == '{' || c == '[':
			if depth++; depth > lim.Depth {
				return false, newError(data, i, "", fmt.Errorf("nested deeper than %d", lim.Depth))
			}
		case c == '}' || c == ']':
			depth--
		case c == 'n':
			null = true
		case numbers && (c == '-' || '0' <= c && c <= '9'):
			end := numberEnd(data, i)
			if err := exactNumber(string(data[i:end])); err != nil {
				return false, newError(data, i, pointerAt(data, i), err)
			}
			i = end - 1
		}
	}
	return null, nil
}

// stringEnd returns the index of the quote that ends the string at data[i].
func stringEnd(data []byte, i int) int {
	i++
	for quote := -1; ; {
		if i > len(data) {
			return i
		}
		if quote < i { // the one that was found was behind a backslash
			n := bytes.IndexByte(data[i:], '"')
			if n < 0 {
				n = len(data) - i
			}
			quote = i + n
		}
		n := bytes.IndexByte(data[i:quote], '\\')
		if n < 0 {
			return quote
		}
		i += n + 2
	}
}

func numberEnd(data []byte, i int) int {
	for i < len(data) && strings.IndexByte("+-.0123456789eE", data[i]) >= 0 {
		i++
	}
	return i
}

// exactNumber refuses numbers that some reader would take for another number:
// RFC 8785 section 3.2.2.3 writes doubles, RFC 7493 section 2.2 allows integers
// to ±(2⁵³-1).
func exactNumber(s string) error {
	const maxDigits = 64
	if len(s) > maxDigits {
		return fmt.Errorf("number of %d characters, at most %d are allowed", len(s), maxDigits)
	}
	f, err := strconv.ParseFloat(s, 64)
	switch {
	case errors.Is(err, strconv.ErrRange):
		return fmt.Errorf("number %s is out of the range of a double", s)
	case err != nil:
		return nil // malformed; the parser says so
	case f == 0 && strings.ContainsAny(mantissa(s), "123456789"):
		return fmt.Errorf("number %s is too small for a double", s)
	case math.Abs(f) <= maxExact:
		return nil
	case !strings.ContainsAny(s, ".eE") || math.Abs(f) < 1e21:
		// Below 1e21 the canonical form is written as an integer.
		return fmt.Errorf("integer %s is beyond ±(2^53-1): write it as a string", s)
	}
	return nil
}

func mantissa(s string) string {
	m, _, _ := strings.Cut(strings.ToLower(s), "e")
	return m
}
