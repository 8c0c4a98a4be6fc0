using System.CommandLine;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Images;

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
        FolderPacking packing = new(
            target, session.Get(folders), session.Get(below), session.Get(prefix) ?? "", overrides,
            session.Get(keepOwners), session.Get(quiet));
        Digest digest = await packing.RunAsync(session, cancellationToken);
        await session.Terminal.Out.WriteLineAsync(
            session.Get(quiet) ? digest.Text : $"{target.Repository}:{target.TagToGive} {digest}");
        return 0;
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
