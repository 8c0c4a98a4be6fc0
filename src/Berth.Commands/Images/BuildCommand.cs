using System.CommandLine;
using System.ComponentModel;
using System.Diagnostics;
using Berth.Core.Errors;
using Berth.Core.Images;

namespace Berth.Commands.Images;

/// <summary>
/// <c>berth image build</c>: has buildah build a Dockerfile and push the outcome to the server's registry. buildah runs
/// here, as whoever runs this command; its own words are the progress.
/// </summary>
internal sealed class BuildCommand : Verb
{
    /// <summary>Of what buildah says, told after all where a quiet build fails.</summary>
    private const int KeptLines = 30;

    private readonly Argument<string> image = new("image") { Description = "Name of the image, such as demo/app:2" };
    private readonly Argument<string> context = new("context")
    {
        Description = "Folder with what the image is built from",
        DefaultValueFactory = _ => ".",
    };

    private readonly Option<string?> file = new("--file", "-f")
    {
        HelpName = "PATH",
        Description = "The Dockerfile; Containerfile or Dockerfile in the folder if left out",
    };

    private readonly Option<string[]> arguments = new("--build-arg")
    {
        HelpName = "K=V",
        Description = "Value of an ARG; may be repeated",
    };

    private readonly Option<string?> target = new("--target")
    {
        HelpName = "STAGE",
        Description = "Build up to this stage",
    };

    private readonly Option<bool> noCache = new("--no-cache") { Description = "Run every step again" };
    private readonly QuietOption quiet = new("Print the digest only, no progress");

    public BuildCommand()
        : base(
            "build", "Build a Dockerfile with buildah and put the image into the registry",
            new("berth image build demo/app ./app", "The Dockerfile in ./app"),
            new("berth image build demo/app:2 -f Dockerfile.slim --build-arg VERSION=2 .", "Another file"),
            new(
                "berth image build --build-arg BASE=${BERTH_HOST#*://}/demo/base demo/app .",
                "ARG BASE, FROM $BASE: on an image of this server, with this command's token"))
    {
        Add(image);
        Add(context);
        foreach (Option option in (Option[])[file, arguments, target, noCache, quiet])
        {
            Add(option);
        }
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        ImageReference reference = BerthRegistry.Parse(session.Get(image));
        string folder = Directory.CreateTempSubdirectory("berth-build-").FullName;
        try
        {
            string id = Path.Combine(folder, "id");
            BuildahAccess access = BuildahAccess.Write(session, folder);
            await RunAsync(session, BuildArguments(session, access, id), cancellationToken);
            string built = (await File.ReadAllTextAsync(id, cancellationToken)).Trim();
            string digest = Path.Combine(folder, "digest");
            await RunAsync(
                session, PushArguments(session, access, built, reference, digest), cancellationToken);
            string pushed = (await File.ReadAllTextAsync(digest, cancellationToken)).Trim();
            await session.Terminal.Out.WriteLineAsync(
                session.Get(quiet) ? pushed : $"{reference.Repository}:{reference.TagToGive} {pushed}");
            return 0;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private List<string> BuildArguments(Session session, BuildahAccess access, string idFile)
    {
        // chroot: needs no runtime of its own and works inside containers and on machines without user namespaces.
        List<string> words =
        [
            .. access.General, "build", "--isolation", "chroot", "--format", "oci", "--layers", "--iidfile", idFile,
            .. access.Login,
        ];
        if (session.Get(file) is { } path)
        {
            words.AddRange(["--file", path]);
        }

        foreach (string argument in session.Get(arguments) ?? [])
        {
            words.AddRange(["--build-arg", argument]);
        }

        if (session.Get(target) is { } stage)
        {
            words.AddRange(["--target", stage]);
        }

        if (session.Get(noCache))
        {
            words.Add("--no-cache");
        }

        words.Add(session.Get(context));
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

    private async Task RunAsync(Session session, List<string> words, CancellationToken cancellationToken)
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
                    if (!session.Get(quiet))
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
