using System.CommandLine;
using Berth.Commands.Terminals;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Archives;
using Berth.Oci.Distribution;

namespace Berth.Commands.Images;

/// <summary><c>berth image import</c>: images of an archive into the registry.</summary>
internal sealed class ImportCommand : Verb
{
    private readonly Argument<string> archive = new("archive")
    {
        Description = "File or folder: an OCI layout, or what docker save wrote; - for standard input",
    };

    private readonly Argument<string?> image = new("image")
    {
        Description = "Name to give the image; the archive's own if left out",
        Arity = ArgumentArity.ZeroOrOne,
    };

    private readonly QuietOption quiet = new("Print digests only, no progress");

    public ImportCommand()
        : base(
            "import", "Put images from an archive into the registry",
            new("berth image import app.tar", "Under the names they have in the archive"),
            new("docker save app | berth image import - demo/app:2", "From docker, under a name of our own"))
    {
        Add(archive);
        Add(image);
        Add(quiet);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        string path = session.Get(archive);
        using ImageArchive source = path == "-"
            ? await FromInputAsync(session, cancellationToken)
            : await ImageArchive.OpenAsync(path, Path.GetTempPath(), cancellationToken);
        string? name = session.Result.GetValue(image);
        if (name is not null && source.Images.Count != 1)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                $"{path} holds {source.Images.Count} images, so one name is not enough: leave it out to import all.");
        }

        using BerthRegistry registry = new(session);
        using ProgressLine line = new(session.Terminal, session.Get(quiet));
        foreach (ArchivedImage found in source.Images)
        {
            ImageReference target = NameOf(found, name, path);
            CopyMeter meter = new(line, $"importing {target.Repository}");
            ImageCopier copier = new(source, registry.Repository(target), new CopyOptions(Progress: meter.Take));
            Digest digest = await copier.CopyAsync(found.Digest.Text, target.TagToGive, cancellationToken);
            string told = $"{target.Repository}:{target.TagToGive} {digest}";
            await session.Terminal.Out.WriteLineAsync(session.Get(quiet) ? digest.Text : told);
        }

        return 0;
    }

    private static async Task<ImageArchive> FromInputAsync(Session session, CancellationToken cancellationToken)
    {
        await using Stream input = session.Terminal.OpenInput();
        return await ImageArchive.OpenAsync(input, Path.GetTempPath(), cancellationToken);
    }

    private static ImageReference NameOf(ArchivedImage found, string? name, string path)
    {
        // The archive's name may be of another registry; only repository and tag matter here.
        string? text = name ?? found.Name;
        return ImageReference.TryParse(text, out ImageReference? reference)
            && (name is not null || text!.Contains(':', StringComparison.Ordinal))
            ? name is null ? reference : BerthRegistry.Parse(name)
            : throw new BerthException(
                ErrorCode.InvalidReference,
                $"An image in {path} has no name of its own: say one, "
                + $"as in berth image import {path} demo/app:1.");
    }
}

/// <summary><c>berth image export</c>: one image as a file that docker and skopeo read.</summary>
internal sealed class ExportCommand : Verb
{
    private readonly Argument<string> image = new("image") { Description = "Image, by tag or digest" };
    private readonly Argument<string> file = new("file")
    {
        Description = "File to write; standard output if left out",
        Arity = ArgumentArity.ZeroOrOne,
        DefaultValueFactory = _ => "-",
    };

    private readonly QuietOption quiet = new("No progress");

    public ExportCommand()
        : base(
            "export", "Write an image to an archive that docker load and skopeo read",
            new("berth image export demo/app app.tar", "To a file"),
            new("berth image export demo/app | docker load", "Straight into docker"))
    {
        Add(image);
        Add(file);
        Add(quiet);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        ImageReference reference = BerthRegistry.Parse(session.Get(image));
        string path = session.Get(file);
        if (path == "-" && session.Terminal.OutputIsTerminal)
        {
            throw new BerthException(
                ErrorCode.InvalidRequest,
                "An archive is not written to a terminal: name a file, or redirect the output.");
        }

        if (path == "-")
        {
            await WriteAsync(session, reference, session.Terminal.Output, cancellationToken);
            return 0;
        }

        // Under another name until it is whole: half an archive never looks like one.
        string temporary = path + ".part";
        try
        {
            await using (FileStream output = File.Create(temporary))
            {
                await WriteAsync(session, reference, output, cancellationToken);
            }

            File.Move(temporary, path, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }

        return 0;
    }

    private async Task WriteAsync(
        Session session, ImageReference reference, Stream output, CancellationToken cancellationToken)
    {
        using BerthRegistry registry = new(session);
        using ProgressLine line = new(session.Terminal, session.Get(quiet));
        CopyMeter meter = new(line, $"exporting {reference.Repository}");
        using LayoutArchiveWriter writer = new(output, reference.Repository);
        ImageCopier copier = new(
            registry.Repository(reference), writer, new CopyOptions(Progress: meter.Take) { Parallel = 1 });
        Digest digest = await copier.CopyAsync(reference.TagOrDigest, reference.Tag, cancellationToken);
        await writer.CompleteAsync(cancellationToken);
        line.Finish($"{reference} {digest}");
    }
}
