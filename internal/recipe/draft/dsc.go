package draft

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"vitrine.example/digest"
)

// dsc is what we need of a .dsc file (deb-src-control(5)). Its signature is not
// checked: what it names is pinned by digest in the recipe, which its people read.
type dsc struct {
	source, version string
	files           []dscFile
	packages        []dscPackage
	needs           []string // build dependencies
}

type dscFile struct {
	name string
	sum  digest.Digest
}

type dscPackage struct{ name, arch string }

// maxDsc bounds the file.
const maxDsc = 4 << 20

var dscName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+~_-]*$`)

func readDsc(path string) (*dsc, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(b) > maxDsc {
		return nil, fmt.Errorf("%s: larger than %d bytes", path, maxDsc)
	}
	c, err := parseDsc(string(b))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

// parseDsc reads the first paragraph that has a Source.
func parseDsc(text string) (*dsc, error) {
	fields, key := map[string]string{}, ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		switch {
		case strings.HasPrefix(line, "-----BEGIN PGP SIGNATURE"):
			key = ""
		case line == "" && fields["Source"] != "":
			key = ""
		case strings.HasPrefix(line, " ") && key != "":
			fields[key] += "\n" + line
		default:
			name, value, ok := strings.Cut(line, ":")
			if !ok || fields["Source"] != "" && key == "" {
				continue
			}
			key = name
			fields[key] = strings.TrimSpace(value)
		}
	}
	c := &dsc{source: fields["Source"], version: fields["Version"]}
	if !dscName.MatchString(c.source) || c.version == "" {
		return nil, errors.New("no Source or no Version in it")
	}
	for line := range strings.Lines(fields["Checksums-Sha256"]) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if len(f) != 3 || !dscName.MatchString(f[2]) {
			return nil, fmt.Errorf("Checksums-Sha256: %.100q", line)
		}
		sum, err := digest.Parse(f[0])
		if err != nil {
			return nil, err
		}
		c.files = append(c.files, dscFile{f[2], sum})
	}
	c.readPackages(fields["Package-List"])
	for _, name := range []string{"Build-Depends", "Build-Depends-Arch", "Build-Depends-Indep"} {
		c.needs = append(c.needs, firstOfEach(fields[name])...)
	}
	if len(c.files) == 0 || len(c.packages) == 0 {
		return nil, errors.New("no Checksums-Sha256 or no Package-List in it")
	}
	return c, nil
}

func (c *dsc) readPackages(list string) {
	for line := range strings.Lines(list) {
		f := strings.Fields(line)
		if len(f) < 4 || f[1] != "deb" || !dscName.MatchString(f[0]) {
			continue
		}
		arch := "amd64"
		for _, w := range f[4:] {
			if w == "arch=all" {
				arch = "all"
			}
		}
		c.packages = append(c.packages, dscPackage{f[0], arch})
	}
}

var notName = regexp.MustCompile(`[^A-Za-z0-9.+:-].*$`)

// firstOfEach names the packages of a dependency field: of alternatives the
// first, none that a profile without checks leaves out, without versions.
func firstOfEach(field string) []string {
	var out []string
	for item := range strings.SplitSeq(strings.ReplaceAll(field, "\n", " "), ",") {
		first, _, _ := strings.Cut(strings.TrimSpace(item), "|")
		first = strings.TrimSpace(first)
		if first == "" || strings.Contains(first, "<!nocheck>") {
			continue
		}
		name := strings.TrimSuffix(notName.ReplaceAllString(first, ""), ":any")
		if name == "debhelper-compat" { // provided by debhelper, in a version that apt would have to be told
			name = "debhelper"
		}
		if name = strings.TrimSuffix(name, ":native"); dscName.MatchString(name) { // never an option of apt's
			out = append(out, name)
		}
	}
	return out
}

// pool is where a mirror keeps the source package.
func (c *dsc) pool() string {
	prefix := c.source[:1]
	if strings.HasPrefix(c.source, "lib") && len(c.source) > 3 {
		prefix = c.source[:4]
	}
	return "pool/main/" + prefix + "/" + c.source + "/"
}
