namespace Berth.Registry.Endpoints;

/// <summary>What a path under <c>/v2/</c> names.</summary>
internal enum RegistryRoute
{
    Unknown,
    Base,
    Token,
    Catalog,
    Blob,
    UploadStart,
    Upload,
    Manifest,
    Tags,
    Referrers,
}

/// <summary>
/// A path under <c>/v2/</c>, taken apart from its end because a repository's name may hold any number of slashes (also
/// components that look like a route).
/// </summary>
/// <param name="Argument">Digest, tag or upload id, as sent.</param>
internal readonly record struct RegistryPath(RegistryRoute Route, string Repository, string Argument)
{
    private static RegistryPath Nothing => new(RegistryRoute.Unknown, "", "");

    /// <param name="path">The path after <c>/v2</c>, decoded.</param>
    public static RegistryPath Parse(string path)
    {
        string rest = path.TrimStart('/');
        switch (rest)
        {
            case "":
                return new RegistryPath(RegistryRoute.Base, "", "");
            case "token":
                return new RegistryPath(RegistryRoute.Token, "", "");
            case "_catalog":
                return new RegistryPath(RegistryRoute.Catalog, "", "");
        }

        if (Before(rest.TrimEnd('/'), "/blobs/uploads") is { } start)
        {
            return new RegistryPath(RegistryRoute.UploadStart, start, "");
        }

        if (Before(rest, "/tags/list") is { } tagged)
        {
            return new RegistryPath(RegistryRoute.Tags, tagged, "");
        }

        int slash = rest.LastIndexOf('/');
        if (slash <= 0)
        {
            return Nothing;
        }

        string argument = rest[(slash + 1)..];
        string head = rest[..slash];
        return Before(head, "/blobs/uploads") is { } upload ? new RegistryPath(RegistryRoute.Upload, upload, argument)
            : Before(head, "/blobs") is { } blob ? new RegistryPath(RegistryRoute.Blob, blob, argument)
            : Before(head, "/manifests") is { } manifest ? new RegistryPath(RegistryRoute.Manifest, manifest, argument)
            : Before(head, "/referrers") is { } subject ? new RegistryPath(RegistryRoute.Referrers, subject, argument)
            : Nothing;
    }

    private static string? Before(string text, string end) =>
        text.Length > end.Length && text.EndsWith(end, StringComparison.Ordinal) ? text[..^end.Length] : null;
}
