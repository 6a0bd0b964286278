package snapshot

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// checkPath says whether name can stand in a snapshot: a relative path of
// ordinary components in valid UTF-8.
func checkPath(name string) error {
	switch {
	case len(name) > MaxPath:
		return refuse(name[:80]+"…", fmt.Sprintf("has a name of %d bytes, more than %d", len(name), MaxPath))
	case !utf8.ValidString(name):
		return refuse(name, "has a name that is not UTF-8")
	case strings.IndexByte(name, 0) >= 0:
		return refuse(name, "has a NUL byte in its name")
	}
	for c := range strings.SplitSeq(name, "/") {
		switch {
		case c == "" || c == "." || c == "..":
			return refuse(name, "is not a plain relative path")
		case strings.EqualFold(c, ".git"):
			return refuse(name, "holds a component .git")
		}
	}
	return nil
}

// checkLink says whether the link at name stays inside the tree wherever the
// tree is unpacked. Its target climbs first and descends then: "..", any number
// of times but not above the root, then names. As the directory that holds the
// link is a real one, and any link on the way down obeys the same rule, no
// combination of links can lead out.
func checkLink(name, target string) error {
	what := fmt.Sprintf("is a link to %.200q, which ", target)
	switch {
	case target == "" || len(target) > MaxPath || strings.IndexByte(target, 0) >= 0 || !utf8.ValidString(target):
		return refuse(name, what+"is no usable target")
	case strings.HasPrefix(target, "/"):
		return refuse(name, what+"is absolute and leads out of the source tree")
	}
	depth, down := strings.Count(name, "/"), false
	for c := range strings.SplitSeq(strings.TrimRight(target, "/"), "/") {
		switch {
		case c == "." || c == "":
		case c != "..":
			down = true
		case down:
			return refuse(name, what+"goes down and up again: write it without")
		case depth == 0:
			return refuse(name, what+"leads out of the source tree")
		default:
			depth--
		}
	}
	return nil
}

// order checks that paths come in strictly ascending byte order and that none
// lies below a file or link.
type order struct {
	last string
	open []string // earlier files whose path is a prefix of last, shortest first
}

// next takes the next path; a directory ends in a slash.
func (o *order) next(path string) error {
	if o.last != "" && path <= o.last {
		return refuse(path, fmt.Sprintf("comes after %.200q, which is out of order or twice the same", o.last))
	}
	for len(o.open) > 0 && !strings.HasPrefix(path, o.open[len(o.open)-1]) {
		o.open = o.open[:len(o.open)-1]
	}
	for _, f := range o.open {
		if path[len(f)] == '/' {
			return refuse(path, fmt.Sprintf("lies below %.200q, which is not a directory", f))
		}
	}
	if o.last = path; !strings.HasSuffix(path, "/") {
		o.open = append(o.open, path)
	}
	return nil
}
