using System.CommandLine;
using Berth.Core.Images;

namespace Berth.Commands.Images;

/// <summary>
/// <c>berth image build</c>: has buildah build a Dockerfile and push the outcome to the server's registry. buildah runs
/// here, as whoever runs this command; its own words are the progress.
/// </summary>
internal sealed class BuildCommand : Verb
{
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
        BuildahBuild build = new(
            reference, session.Get(context), session.Get(file), session.Get(arguments) ?? [], session.Get(target),
            session.Get(noCache), session.Get(quiet));
        string digest = await build.RunAsync(session, cancellationToken);
        await session.Terminal.Out.WriteLineAsync(
            session.Get(quiet) ? digest : $"{reference.Repository}:{reference.TagToGive} {digest}");
        return 0;
    }
}
