using System.CommandLine;
using Berth.Core.Errors;
using Berth.Core.Images;
using Berth.Oci.Distribution;

namespace Berth.Commands.Images;

/// <summary><c>berth image tag</c>: another name for an image that is in the registry. No content moves.</summary>
internal sealed class TagCommand : Verb
{
    private readonly Argument<string> source = new("source") { Description = "Image, by tag or digest" };
    private readonly Argument<string> target = new("target")
    {
        Description = "Another name for it, also in another repository",
    };

    private readonly QuietOption quiet = new("Print the digest only");

    public TagCommand()
        : base(
            "tag", "Give an image another name",
            new("berth image tag demo/app:2 demo/app:stable", "A second tag"),
            new("berth image tag demo/app:2 release/app", "A name in another repository, with the tag latest"))
    {
        Add(source);
        Add(target);
        Add(quiet);
    }

    protected override async Task<int> RunAsync(Session session, CancellationToken cancellationToken)
    {
        ImageReference from = BerthRegistry.Parse(session.Get(source));
        ImageReference to = BerthRegistry.Parse(session.Get(target));
        if (to.Digest is not null)
        {
            throw new BerthException(
                ErrorCode.InvalidReference,
                $"'{to}' names an image by its content, which is no name to give: write {to.Repository}:TAG.");
        }

        using BerthRegistry registry = new(session);
        ImageCopier copier = new(
            registry.Repository(from), registry.Repository(to, mountFrom: from.Repository), new CopyOptions());
        Digest digest = await copier.CopyAsync(from.TagOrDigest, to.TagToGive, cancellationToken);
        string told = $"{to.Repository}:{to.TagToGive} {digest}";
        await session.Terminal.Out.WriteLineAsync(session.Get(quiet) ? digest.Text : told);
        return 0;
    }
}
