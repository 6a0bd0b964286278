package sbom

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/package-url/packageurl-go"

	"vitrine.example/digest"
)

// Names of properties (docs/spec/release.md, "SBOM").
const (
	propSum      = "vitrine:go:h1"       // of a module: hash of its file tree, go.sum's h1
	propReplaces = "vitrine:go:replaces" // of a module: what it stands for, path@version
	propSetting  = "vitrine:go:build:"   // of the binary: a build setting, by its key
	propPackage  = "vitrine:go:package"  // of the binary: import path of the main package
)

// lay lays out the whole SBOM.
func lay(info *debug.BuildInfo, d digest.Digest) *document {
	root := binary(info, d)
	parts := append([]component{stdlib(info.GoVersion)}, modules(info.Deps)...)
	refs := make([]string, len(parts))
	for i, p := range parts {
		refs[i] = p.Ref
	}
	slices.Sort(refs)
	return &document{
		Schema: bomSchema, Format: bomFormat, Spec: bomSpec, Serial: serial(d), Version: 1,
		Metadata: metadata{
			Tools:     tools{[]component{{Type: typeApplication, Name: "vitrine"}}},
			Component: root,
		},
		Components:   parts,
		Dependencies: []dependency{{Ref: root.Ref, DependsOn: refs}},
	}
}

// serial derives the serial number from the file: a UUID of version 8 (RFC
// 9562, section 5.8), so that the same file gives the same document.
func serial(d digest.Digest) string {
	u := sha256.Sum256([]byte("vitrine sbom 1\n" + d.String()))
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

// binary describes the file itself.
func binary(info *debug.BuildInfo, d digest.Digest) component {
	name := cmp.Or(info.Main.Path, info.Path, "unknown")
	c := component{
		Ref:     "sha256:" + d.String(),
		Type:    typeApplication,
		Name:    name,
		Version: info.Main.Version,
		Hashes:  []hash{{algSHA256, d.String()}},
	}
	if info.Main.Path != "" {
		c.PackageURL = purl(info.Main.Path, strings.Trim(info.Main.Version, "()"))
	}
	props := []property{{Name: propPackage, Value: info.Path}}
	if info.Main.Sum != "" {
		props = append(props, property{Name: propSum, Value: info.Main.Sum})
	}
	for _, s := range info.Settings {
		props = append(props, property{Name: propSetting + s.Key, Value: s.Value})
	}
	c.Properties = sorted(props)
	return c
}

// stdlib is the standard library, under the name that vulnerability databases use.
func stdlib(goVersion string) component {
	version, _, _ := strings.Cut(strings.TrimPrefix(goVersion, "go"), " ")
	c := component{
		Ref: "go:stdlib@" + version, Type: typeLibrary, Name: "stdlib", Version: version,
		PackageURL: purl("stdlib", version),
	}
	if experiments := strings.TrimPrefix(goVersion, "go"+version); experiments != "" {
		c.Properties = []property{{Name: propSetting + "version", Value: goVersion}}
	}
	return c
}

// modules describes what was linked in, sorted by path.
func modules(deps []*debug.Module) []component {
	var list []component
	for _, m := range deps {
		if m != nil {
			list = append(list, module(m))
		}
	}
	slices.SortFunc(list, func(a, b component) int { return strings.Compare(a.Ref, b.Ref) })
	return slices.CompactFunc(list, func(a, b component) bool { return a.Ref == b.Ref })
}

// module describes one module; where it was replaced, what is in the binary is
// the replacement.
func module(m *debug.Module) component {
	used, props := m, []property(nil)
	if m.Replace != nil {
		used = m.Replace
		props = append(props, property{Name: propReplaces, Value: m.Path + "@" + m.Version})
	}
	if used.Sum != "" {
		props = append(props, property{Name: propSum, Value: used.Sum})
	}
	c := component{
		Ref: "go:" + m.Path + "@" + m.Version, Type: typeLibrary,
		Name: used.Path, Version: strings.Trim(used.Version, "()"), Properties: sorted(props),
	}
	if !local(used.Path) {
		c.PackageURL = purl(used.Path, c.Version)
	}
	return c
}

// local reports whether a replacement is a directory, which has no purl.
func local(path string) bool {
	return path == "" || strings.HasPrefix(path, "/") || strings.HasPrefix(path, "./") || strings.HasPrefix(path, "../")
}

// purl names a Go module as the purl type "golang" does; "devel" is no version.
func purl(path, version string) string {
	if version == "devel" {
		version = ""
	}
	namespace, name := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		namespace, name = path[:i], path[i+1:]
	}
	p := packageurl.NewPackageURL(packageurl.TypeGolang, namespace, name, version, nil, "")
	if err := p.Normalize(); err != nil {
		return ""
	}
	return p.ToString()
}

func sorted(props []property) []property {
	slices.SortStableFunc(props, func(a, b property) int { return strings.Compare(a.Name, b.Name) })
	return props
}
