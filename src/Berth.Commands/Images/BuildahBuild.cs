using System.ComponentModel;
using System.Diagnostics;
using Berth.Core.Errors;
using Berth.Core.Images;

namespace Berth.Commands.Images;

/// <summary>One build of a Dockerfile by buildah, and its way into the server's registry.</summary>
/// <param name="Context">Folder with what the image is built from.</param>
/// <param name="Dockerfile">Null for Containerfile or Dockerfile in the folder.</param>
/// <param name="Arguments">Values of ARGs, <c>K=V</c>.</param>
/// <param name="Quiet">Its words are told only where it fails.</param>
internal sealed record BuildahBuild(
    ImageReference Image, string Context, string? Dockerfile, IReadOnlyList<string> Arguments, string? Target,
    bool NoCache, bool Quiet)
{
    /// <summary>Of what buildah says, told after all where a quiet build fails.</summary>
    private const int KeptLines = 30;

    /// <summary>Returns the image's digest.</summary>
    public async Task<string> RunAsync(Session session, CancellationToken cancellationToken)
    {
        string folder = Directory.CreateTempSubdirectory("berth-build-").FullName;
        try
        {
            string id = Path.Combine(folder, "id");
            BuildahAccess access = BuildahAccess.Write(session, folder);
            await ProcessAsync(session, BuildArguments(access, id), cancellationToken);
            string built = (await File.ReadAllTextAsync(id, cancellationToken)).Trim();
            string digest = Path.Combine(folder, "digest");
            await ProcessAsync(session, PushArguments(session, access, built, Image, digest), cancellationToken);
            return (await File.ReadAllTextAsync(digest, cancellationToken)).Trim();
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private List<string> BuildArguments(BuildahAccess access, string idFile)
    {
        // chroot: needs no runtime of its own and works inside containers and on machines without user namespaces.
        List<string> words =
        [
            .. access.General, "build", "--isolation", "chroot", "--format", "oci", "--layers", "--iidfile", idFile,
            .. access.Login,
        ];
        if (Dockerfile is { } path)
        {
            words.AddRange(["--file", path]);
        }

        foreach (string argument in Arguments)
        {
            words.AddRange(["--build-arg", argument]);
        }

        if (Target is { } stage)
        {
            words.AddRange(["--target", stage]);
        }

        if (NoCache)
        {
            words.Add("--no-cache");
        }

        words.Add(Context);
        return words;
    }

    private static List<string> PushArguments(
        Session session, BuildahAccess access, string built, ImageReference reference, string digestFile)
    {
        Uri address = session.Target.Address;
        return
        [
            .. access.General, "push", "--digestfile", digestFile, .. access.Login,
            // Whatever the user's own settings say of this server: it is the only one that is talked to here.
            .. address.Scheme == Uri.UriSchemeHttp ? ["--tls-verify=false"] : Array.Empty<string>(),
            built, $"docker://{address.Authority}/{reference.Repository}:{reference.TagToGive}",
        ];
    }

    private async Task ProcessAsync(Session session, List<string> words, CancellationToken cancellationToken)
    {
        ProcessStartInfo start = new("buildah", words)
        {
            UseShellExecute = false,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        Queue<string> last = new();
        using Process process = Start(start);
        await using CancellationTokenRegistration stop = cancellationToken.Register(
            () => process.Kill(entireProcessTree: true));
        await Task.WhenAll(TellAsync(process.StandardOutput), TellAsync(process.StandardError));
        await process.WaitForExitAsync(CancellationToken.None);
        cancellationToken.ThrowIfCancellationRequested();
        if (process.ExitCode != 0)
        {
            foreach (string line in last)
            {
                session.Say(line);
            }

            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"buildah {words.First(w => w is "build" or "push")} ended with exit code {process.ExitCode}; its own "
                + "words say why.");
        }

        async Task TellAsync(StreamReader lines)
        {
            while (await lines.ReadLineAsync(CancellationToken.None) is { } line)
            {
                // Both streams end up in one writer, which takes one line at a time.
                lock (process)
                {
                    if (!Quiet)
                    {
                        session.Say(line);
                        continue;
                    }

                    // Wanted only where it fails.
                    last.Enqueue(line);
                    if (last.Count > KeptLines)
                    {
                        last.Dequeue();
                    }
                }
            }
        }
    }

    private static Process Start(ProcessStartInfo start)
    {
        try
        {
            return Process.Start(start)!;
        }
        catch (Win32Exception e)
        {
            throw new BerthException(
                ErrorCode.MissingTool,
                $"buildah, which builds images, can't be started ({e.Message}). Install it: 'apt install buildah' on "
                + "Debian and Ubuntu, 'dnf install buildah' on Fedora. Without it, 'berth image pack' makes an image "
                + "of folders.",
                e);
        }
    }
}
