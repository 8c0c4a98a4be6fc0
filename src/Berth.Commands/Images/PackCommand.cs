using System.CommandLine;
using System.Globalization;
using Berth.Commands.Terminals;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Core.Resources;
using Berth.Oci.Distribution;
using Berth.Oci.Images;
using Berth.Oci.Packing;

namespace Berth.Commands.Images;

/// <summary>
/// <c>berth image pack</c>: makes an image of folders, one layer of each, without a build file. The same folders and
/// options give the same digest on every machine.
/// </summary>
internal sealed class PackCommand : Verb
{
    private readonly Argument<string> image = new("image") { Description = "Name to give the image" };
    private readonly Argument<string[]> folders = new("folder")
    {
        Description = "Folders whose content becomes a layer each, the lowest first",
        Arity = ArgumentArity.OneOrMore,
    };

    private readonly Option<string?> below = new("--base")
    {
        HelpName = "IMAGE",
        Description = "Image to lay them on, of this server or with a registry's host",
    };

    private readonly Option<string?> prefix = new("--prefix")
    {
        HelpName = "PATH",
        Description = "Folder of the image to put the content into, instead of the root",
    };

    private readonly Option<string[]> entrypoint = Repeated(
        "--entrypoint", "WORD", "Program to run; further words are its fixed arguments");
    private readonly Option<string[]> command = Repeated("--cmd", "WORD", "Arguments when none are given");
    private readonly Option<string[]> environment = Repeated("--env", "KEY=VALUE", "Variable", "-e");
    private readonly Option<string[]> labels = Repeated("--label", "KEY=VALUE", "Label", "-l");
    private readonly Option<string?> user = new("--user", "-u")
    {
        HelpName = "USER[:GROUP]",
        Description = "User to run as",
    };

    private readonly Option<string?> workdir = new("--workdir", "-w")
    {
        HelpName = "PATH",
        Description = "Working directory",
    };

    private readonly Option<bool> keepOwners = new("--keep-owners")
    {
        Description = "Keep the files' owners instead of giving all to root",
    };

    private readonly QuietOption quiet = new("Print the digest only, no progress");

    public PackCommand()
        : base(
            "pack", "Make an image of folders, each as one layer, and put it into the registry",
            new("berth image pack demo/hello ./publish --entrypoint /hello", "One folder, with a program in it"),
            new(
                "berth image pack demo/app ./app --base demo/debian --prefix /opt/app --cmd /opt/app/run",
                "On top of another image"))
    {
        Add(image);
        Add(folders);
        foreach (
            Option option in (Option[])[
                below, prefix, entrypoint, command, environment, labels, user, workdir, keepOwners, quiet])
        {
            Add(option);
        }
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        ImageReference target = BerthRegistry.Parse(session.Get(image));
        using BerthRegistry registry = new(session);
        using ProgressLine line = new(session.Terminal, session.Get(quiet));
        RegistryRepository repository = registry.Repository(target);
        using RegistryConnection? elsewhere = OpenElsewhere(session, out PackBase? at);
        if (at is null && session.Get(below) is { } local)
        {
            ImageReference reference = BerthRegistry.Parse(local);
            at = new PackBase(registry.Repository(reference), reference.TagOrDigest);
        }

        List<PackedLayer> layers = [];
        Digest digest;
        try
        {
            foreach (string folder in session.Get(folders))
            {
                layers.Add(await PackFolderAsync(session, folder, line, cancellationToken));
            }

            CopyMeter meter = new(line, $"sending {target.Repository}");
            ImagePacker packer = new(repository, new CopyOptions(Progress: meter.Take));
            digest = await packer.PackAsync(
                layers, at, Wanted(session, session.Get(folders)[^1]), target.TagToGive, cancellationToken);
        }
        finally
        {
            layers.ForEach(l => l.Dispose());
        }

        await session.Terminal.Out.WriteLineAsync(
            session.Get(quiet) ? digest.Text : $"{target.Repository}:{target.TagToGive} {digest}");
        return 0;
    }

    private async Task<PackedLayer> PackFolderAsync(
        Session session, string folder, ProgressLine line, CancellationToken cancellationToken)
    {
        string name = Path.GetFileName(Path.GetFullPath(folder));
        PackedLayer layer = await PackedLayer.CreateAsync(
            Wanted(session, folder), Path.GetTempPath(), bytes => line.Show($"packing {name}", bytes, null),
            cancellationToken);
        line.Finish(
            $"{name}: {ByteSize.FromBytes(layer.Bytes)} in {layer.Entries} entries, "
            + $"{ByteSize.FromBytes(layer.Layer.Size)} packed");
        return layer;
    }

    private PackOptions Wanted(Session session, string folder)
    {
        ContainerDefaults overrides = new(
            User: session.Get(user),
            Env: session.Get(environment) is { Length: > 0 } variables
                ? [.. variables.Select(v => Pair(v, "--env"))]
                : null,
            Entrypoint: session.Get(entrypoint) is { Length: > 0 } words ? words : null,
            Cmd: session.Get(command) is { Length: > 0 } arguments ? arguments : null,
            WorkingDir: session.Get(workdir),
            Labels: session.Get(labels) is { Length: > 0 } pairs
                ? pairs.Select(l => Pair(l, "--label").Split('=', 2)).ToDictionary(p => p[0], p => p[1])
                : null);
        return new PackOptions(
            folder, session.Get(prefix)
                ?? "", Timestamp(session), session.Get(keepOwners), PlatformChoice.Here, overrides);
    }

    // https://reproducible-builds.org/specs/source-date-epoch/
    private static DateTimeOffset Timestamp(Session session) => session.Terminal.Variable("SOURCE_DATE_EPOCH") switch
    {
        null or "" => DateTimeOffset.UnixEpoch,
        { } text when long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long seconds) =>
            DateTimeOffset.FromUnixTimeSeconds(seconds),
        { } text =>
            throw new BerthException(
                ErrorCode.InvalidRequest, $"SOURCE_DATE_EPOCH: '{text}' is not a number of seconds."),
    };

    private RegistryConnection? OpenElsewhere(Session session, out PackBase? found)
    {
        found = null;
        if (
            session.Get(below) is not { } text
                || ImageReference.Parse(text) is not { RegistryHost: not null } reference)
        {
            return null;
        }

        RegistryConnection connection = new(
            RegistryConnection.AddressOf(reference, insecure: false)!, null, session.Terminal.Time);
        found = new PackBase(connection.Repository(reference), reference.TagOrDigest);
        return connection;
    }

    private static string Pair(string text, string option) => text.IndexOf('=', StringComparison.Ordinal) > 0
        ? text
        : throw new BerthException(ErrorCode.InvalidRequest, $"{option}: '{text}' is not of the form KEY=VALUE.");

    private static Option<string[]> Repeated(string name, string value, string description, params string[] aliases) =>
        new(name, aliases)
        {
            HelpName = value,
            Description = description + " (repeatable)",
            AllowMultipleArgumentsPerToken = false,
        };
}
