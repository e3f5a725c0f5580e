import pytest

from genpercept_mm.evaluation.output_names import OutputNames

FRAME = ('/d/ai_001_002/images/scene_cam_03_final_preview/'
         'frame.0007.tonemap.jpg')


@pytest.mark.parametrize('kwargs, sample, expected', [
    ({}, dict(sample_name='a/b.c/d', img_path='x.png'), 'a/b.c/d'),
    ({}, dict(sample_name='a//b/./c', img_path='x.png'), 'a/b/c'),
    ({}, dict(img_path='/data/a/b.c.png'), 'b.c'),
    ({}, dict(img_path=FRAME), 'ai_001_002_cam_03_fr0007'),
    (dict(image_root='/data'), dict(img_path='/data/a/b.c.png'), 'a/b.c'),
    (dict(image_root='/data/'), dict(img_path='/data/a/../b.png'), 'b'),
    (dict(image_root='/data'), dict(img_path='/other/a/b.png'), 'b'),
    (dict(image_root='/data'), dict(img_path='/data/..a/b.png'), '..a/b'),
    (dict(image_root='/d'), dict(img_path=FRAME), 'ai_001_002_cam_03_fr0007'),
    (dict(image_root='/data'), dict(img_path='/data/a/b.png', sample_name='c'),
     'c'),
    (dict(with_dataset=True), dict(
        img_path='x.png', sample_name='a/b', dataset_name='my/set'),
     'my/set_a/b'),
    (dict(with_dataset=True), dict(img_path='/data/x.png'), 'x'),
])
def test_names(kwargs, sample, expected):
    names = OutputNames('Owner', **kwargs)
    assert names.claim(sample) == expected
    # as in the next epoch
    assert names.claim(sample) == expected


@pytest.mark.parametrize('name', ['../a', '/a', 'a/../../b', '..'])
def test_names_stay_in_their_folder(name):
    with pytest.raises(ValueError, match='Owner: sample_name must stay in '
                       'output_dir, got .* for x.png'):
        OutputNames('Owner').claim(dict(sample_name=name, img_path='x.png'))


@pytest.mark.parametrize('first, second', [
    (dict(img_path='a/0.png'), dict(img_path='b/0.png')),
    (dict(img_path='a/0.png'), dict(img_path='a/0.jpg')),
    (dict(img_path='a/0.png', sample_name='n'),
     dict(img_path='b/1.png', sample_name='n')),
    (dict(img_path='a/0.png', sample_name='m/n'),
     dict(img_path='b/1.png', sample_name='m/./n')),
    (dict(img_path='a/0.png', sample_name='0'), dict(img_path='b/0.png')),
])
def test_two_images_of_one_name_are_an_error(first, second):
    names = OutputNames('Owner')
    names.claim(first)
    with pytest.raises(ValueError, match=f'{second["img_path"]} and '
                       f'{first["img_path"]} would both be written to'):
        names.claim(second)


def test_data_sets_tell_equal_names_apart():
    names = OutputNames('Owner', with_dataset=True)
    for index, dataset in enumerate(('one', 'two')):
        names.claim(dict(img_path=f'{index}.png', sample_name='a',
                         dataset_name=dataset))
    assert list(names.claimed) == ['one_a', 'two_a']


@pytest.mark.parametrize('other, clash', [
    ({'a': '1/a.png', 'b': '1/b.png'}, False), ({'a': '2/a.png'}, True)])
def test_names_of_other_processes_count(monkeypatch, other, clash):
    """The first image again, as samplers repeat it, is no clash."""
    monkeypatch.setattr(
        'genpercept_mm.evaluation.output_names.all_gather_object',
        lambda own: [own, other])
    names = OutputNames('Owner')
    names.claim(dict(img_path='1/a.png'))
    if not clash:
        names.compare_ranks()
        return
    with pytest.raises(ValueError, match='2/a.png and 1/a.png would both'):
        names.compare_ranks()
