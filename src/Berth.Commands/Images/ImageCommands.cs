using System.CommandLine;
using Berth.Api.Images;
using Berth.Commands.Output;
using Berth.Commands.Terminals;

namespace Berth.Commands.Images;

/// <summary><c>berth image</c>: what is in the server's registry, and ways in and out of it.</summary>
internal static class ImageCommands
{
    public static Noun All() => new(
        "image", "See, make and copy images",
        [
            new("berth image ls", "What is in the registry"),
            new("berth image pull docker.io/library/busybox:1.36 demo/busybox", "Fetch one from another registry"),
        ],
        new ImageListCommand(), new InspectCommand(), new HistoryCommand(), new DiffCommand(), new BuildCommand(),
        new PackCommand(), new ImportCommand(), new ExportCommand(),
        new PullCommand(), new PushCommand(), new TagCommand(), new RemoveCommand(), new PruneCommand());
}

internal sealed class ImageListCommand : Verb
{
    private readonly OutputOption output = new();
    private readonly QuietOption quiet = new("Print references only");

    public ImageListCommand()
        : base(
            "ls", "List the images in the registry",
            new("berth image ls", "As a table"),
            new("berth image ls -o json | jq '.[].digest'", "For programs"))
    {
        Add(output);
        Add(quiet);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        Terminal terminal = session.Terminal;
        IAsyncEnumerable<ImageView> images = session.Client.Images.ListAsync(cancellationToken);
        if (session.Get(output) == "json")
        {
            await JsonOutput.WriteAsync(terminal, images, ImageJson.Default.ImageView, cancellationToken);
            return 0;
        }

        Table table = new(
            new("REPOSITORY"), new("TAG"), new("DIGEST"), new("SIZE", Right: true), new("PLATFORM"), new("PUSHED"),
            new("STATE"));
        await foreach (ImageView image in images)
        {
            if (session.Get(quiet))
            {
                await terminal.Out.WriteLineAsync($"{image.Repository}:{image.Tag}");
            }

            table.Add(
                image.Repository, image.Tag, ShortDigest(image.Digest), Wording.Bytes(image.Size), image.Architecture,
                Wording.Age(image.PushedAt, terminal.Time.GetUtcNow()), image.Unpacked ? "ready" : "packed");
        }

        if (!session.Get(quiet))
        {
            table.Write(terminal);
        }

        return 0;
    }

    internal static string ShortDigest(string digest) => digest.Length > 19 ? digest[..19] : digest;
}

internal sealed class InspectCommand : Verb
{
    private readonly Argument<string> reference = new("image") { Description = "Image, by tag or digest" };
    private readonly OutputOption output = new();

    public InspectCommand()
        : base(
            "inspect", "Show one image: what it runs, its layers",
            new("berth image inspect demo/thumbnail", "For people"),
            new("berth image inspect -o json demo/thumbnail:latest | jq .layers", "For programs"))
    {
        Add(reference);
        Add(output);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        ImageDetail detail = await session.Client.Images.GetAsync(session.Get(reference), cancellationToken);
        if (session.Get(output) == "json")
        {
            JsonOutput.Write(session.Terminal, detail, ImageJson.Default.ImageDetail);
        }
        else
        {
            Write(session.Terminal, detail);
        }

        return 0;
    }

    private static void Write(Terminal terminal, ImageDetail detail)
    {
        void Line(string name, string? value)
        {
            if (!string.IsNullOrEmpty(value))
            {
                terminal.Out.WriteLine($"{name,-12} {value}");
            }
        }

        Line("Image", $"{detail.Image.Repository}:{detail.Image.Tag}");
        Line("Digest", detail.Image.Digest);
        Line("Media type", detail.MediaType);
        Line("Platform", detail.Image.Architecture);
        Line("Size", Wording.Bytes(detail.Image.Size));
        Line("Created", detail.Image.Created is { } created ? Wording.Time(created) : null);
        Line("Pushed", Wording.Time(detail.Image.PushedAt));
        Line("Entry point", string.Join(' ', detail.Entrypoint));
        Line("Arguments", string.Join(' ', detail.Cmd));
        Line("User", detail.User);
        Line("Directory", detail.WorkingDir);
        foreach (string variable in detail.Env)
        {
            Line("Variable", variable);
        }

        foreach ((string key, string value) in detail.Labels.OrderBy(l => l.Key, StringComparer.Ordinal))
        {
            Line("Label", $"{key}={value}");
        }

        terminal.Out.WriteLine();
        Table layers = new(new("LAYER"), new("SIZE", Right: true), new("MEDIA TYPE"));
        foreach (LayerView layer in detail.Layers)
        {
            layers.Add(layer.Digest, Wording.Bytes(layer.Size), layer.MediaType);
        }

        layers.Write(terminal);
    }
}

internal sealed class RemoveCommand : SeveralCommand
{
    private readonly QuietOption quiet = new("Print nothing");

    public RemoveCommand()
        : base(
            new("image") { Description = "Images, by tag or digest" },
            "rm", "Remove names of images; content that nothing needs any more is collected later",
            new("berth image rm demo/thumbnail:old", "One tag"),
            new("berth image ls -q | grep ^demo/ | xargs -r berth image rm", "Several"))
        => Add(quiet);

    protected override async Task SeeToAsync(Session session, string reference, CancellationToken cancellationToken)
    {
        await session.Client.Images.RemoveAsync(reference, cancellationToken);
        if (!session.Get(quiet))
        {
            session.Say($"Removed {reference}");
        }
    }
}
