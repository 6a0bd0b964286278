package sbom

// The parts of CycloneDX 1.6 that [Go] writes, in the order and with the names
// of its JSON form (ECMA-424, bom-1.6.schema.json). The project's own library
// fills tables for three other encodings before main begins; the tests hold
// these types against it and against the schema.

// Values of CycloneDX.
const (
	bomSchema       = "http://cyclonedx.org/schema/bom-1.6.schema.json"
	bomFormat       = "CycloneDX"
	bomSpec         = "1.6"
	typeApplication = "application"
	typeLibrary     = "library"
	algSHA256       = "SHA-256"
)

type document struct {
	Schema       string       `json:"$schema"`
	Format       string       `json:"bomFormat"`
	Spec         string       `json:"specVersion"`
	Serial       string       `json:"serialNumber"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Tools     tools     `json:"tools"`
	Component component `json:"component"`
}

type tools struct {
	Components []component `json:"components"`
}

type component struct {
	Ref        string     `json:"bom-ref,omitempty"`
	Type       string     `json:"type"`
	Name       string     `json:"name"`
	Version    string     `json:"version,omitempty"`
	Hashes     []hash     `json:"hashes,omitempty"`
	PackageURL string     `json:"purl,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type hash struct {
	Algorithm string `json:"alg"`
	Value     string `json:"content"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn,omitempty"`
}
