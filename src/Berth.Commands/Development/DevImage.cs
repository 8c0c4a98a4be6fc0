using Berth.Commands.Declarations;
using Berth.Commands.Images;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Images;

namespace Berth.Commands.Development;

/// <summary>Makes the image of a function that is worked on, and puts it into the server's registry.</summary>
internal static class DevImage
{
    /// <summary>Where the images of such a function are.</summary>
    public static string NameFor(string function) => "berth-dev/" + function;

    /// <summary>Returns the image's name.</summary>
    /// <param name="folder">That the function is in.</param>
    public static async Task<string> MakeAsync(
        Session session, string folder, DevFunction function, string name, CancellationToken cancellationToken)
    {
        if (function.Source is not { } source)
        {
            return function.Request.Image!;
        }

        ImageReference image = ImageReference.Parse(NameFor(name));
        string from = Path.GetFullPath(Path.Combine(folder, source.Folder));
        if (!Directory.Exists(from))
        {
            throw new BerthException(ErrorCode.InvalidRequest, $"'{from}', which the image is made of, is no folder.");
        }

        if (source.IsRoot)
        {
            await PackAsync(session, image, from, source, cancellationToken);
        }
        else
        {
            string? dockerfile = source.Dockerfile is null
                ? null
                : Path.GetFullPath(Path.Combine(from, source.Dockerfile));
            BuildahBuild build = new(
                image, from, dockerfile, [.. (source.Arguments ?? new Dictionary<string, string>())
                    .Select(a => $"{a.Key}={a.Value}")],
                source.Target, NoCache: false, Quiet: true);
            await build.RunAsync(session, cancellationToken);
        }

        return image.ToString();
    }

    private static Task<Digest> PackAsync(
        Session session, ImageReference image, string from, ImageOrigin source, CancellationToken cancellationToken)
    {
        ContainerDefaults overrides = new(
            Env: source.Environment is { Count: > 0 } variables
                ? [.. variables.Select(v => $"{v.Key}={v.Value}")]
                : null,
            Entrypoint: source.Entrypoint);
        return new FolderPacking(
            image, [from], source.Base, source.Prefix ?? "", overrides, KeepOwners: false, Quiet: true)
            .RunAsync(session, cancellationToken);
    }
}
