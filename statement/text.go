package statement

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The forms of texts, as docs/spec/release-v1.md gives them by regular
// expressions. They are written out here because compiling those (Unicode
// classes, counted) took half of the start of a verifier; text_test.go
// compares both.

// maxVersion is how many characters a version or half of a media type may have.
const maxVersion, maxMediaName = 128, 127

// isPrintable reports Unicode categories L, M, N, P and S: no control, no
// format, no separator.
func isPrintable(r rune) bool {
	if r < utf8.RuneSelf {
		return '!' <= r && r <= '~'
	}
	return unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S)
}

func isPrintableOrSpace(r rune) bool { return r == ' ' || isPrintable(r) }

// every reports valid UTF-8 of at least one character, each of which is ok.
func every(s string, ok func(rune) bool) bool {
	return s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !ok(r) })
}

// isVersion: 1 to 128 printable characters and spaces, no space at either end.
func isVersion(s string) bool {
	return every(s, isPrintableOrSpace) && strings.Trim(s, " ") == s && utf8.RuneCountInString(s) <= maxVersion
}

// isFileText: printable characters and spaces.
func isFileText(s string) bool { return every(s, isPrintableOrSpace) }

func isLowerOrDigit(r rune) bool { return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' }

// isChannel: [a-z0-9-]{1,64}
func isChannel(s string) bool {
	return len(s) <= 64 && every(s, func(r rune) bool { return r == '-' || isLowerOrDigit(r) })
}

// isMediaType: type and subtype of RFC 6838 section 4.2, in lower case.
func isMediaType(s string) bool {
	a, b, ok := strings.Cut(s, "/")
	return ok && isMediaName(a) && isMediaName(b)
}

func isMediaName(s string) bool {
	return len(s) <= maxMediaName && every(s, func(r rune) bool { return isLowerOrDigit(r) || strings.ContainsRune("!#$&^_.+-", r) }) &&
		isLowerOrDigit(rune(s[0]))
}

// isCommit: a git object ID, SHA-1 or SHA-256.
func isCommit(s string) bool {
	return (len(s) == 40 || len(s) == 64) && every(s, func(r rune) bool { return '0' <= r && r <= '9' || 'a' <= r && r <= 'f' })
}

// isDigestName: [A-Za-z][A-Za-z0-9_-]{0,31}
func isDigestName(s string) bool {
	return len(s) <= 32 && every(s, func(r rune) bool { return r == '_' || r == '-' || isLetterOrDigit(r) }) &&
		isLetterOrDigit(rune(s[0])) && s[0] > '9'
}

func isLetterOrDigit(r rune) bool { return isLowerOrDigit(r) || 'A' <= r && r <= 'Z' }

// isAbsoluteURI: scheme in lower case, then something that is not a path; with
// an authority that is not empty where there is one.
func isAbsoluteURI(s string) bool {
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || !isScheme(scheme) || rest == "" || !isURIText(rest) || !areEscapesWhole(rest) {
		return false
	}
	if rest[0] != '/' {
		return true
	}
	authority, ok := strings.CutPrefix(rest, "//")
	return ok && authority != "" && strings.IndexByte("/?#", authority[0]) < 0
}

func isScheme(s string) bool {
	return every(s, func(r rune) bool { return isLowerOrDigit(r) || strings.ContainsRune("+-.", r) }) && 'a' <= s[0] && s[0] <= 'z'
}

// areEscapesWhole reports whether two hexadecimal digits follow each percent sign.
func areEscapesWhole(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && (i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2])) {
			return false
		}
	}
	return true
}

func isPageURL(s string) bool { return isURL(s, "https", "http") }

func isSourceURL(s string) bool { return isURL(s, "https", "http", "git+https") }

// isURL: scheme://host[:port] in lower case, then the characters of RFC 3986
// or percent-encoded bytes; no user, no spaces.
func isURL(s string, schemes ...string) bool {
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || !slices.Contains(schemes, scheme) {
		return false
	}
	host, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		host, tail = rest[:i], rest[i+1:]
	}
	return isHost(host) && isURLText(tail)
}

// isHost: up to 253 characters, letter or digit at both ends, port of 1 to 5 digits.
func isHost(s string) bool {
	host, port, hasPort := strings.Cut(s, ":")
	if hasPort && (len(port) > 5 || !every(port, func(r rune) bool { return '0' <= r && r <= '9' })) {
		return false
	}
	return len(host) <= 253 && every(host, func(r rune) bool { return isLowerOrDigit(r) || r == '.' || r == '-' }) &&
		isLowerOrDigit(rune(host[0])) && isLowerOrDigit(rune(host[len(host)-1]))
}

func isURLText(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := rune(s[i]); {
		case isLetterOrDigit(c) || strings.ContainsRune("._~:/?#[]@!$&'()*+,;=-", c):
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			i += 2
		default:
			return false
		}
	}
	return true
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}
